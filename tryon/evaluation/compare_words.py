"""Sentences of the page that `tryon compare --html` writes, as those of `tryon.evaluation.report_words`."""

# ruff: noqa: E501 (sentences, whose width in columns a formatter does not know)
from __future__ import annotations

COMPARE_WORDS: dict[str, tuple[str, str]] = {
    "compare.title": ("Two runs compared", "两次运行的比较"),
    "compare.first": ("first", "第一个"),
    "compare.second": ("second", "第二个"),
    "compare.run": ("run", "运行"),
    "compare.scored": ("scored", "评测时间"),
    "compare.final_size": ("final size", "最终尺寸"),
    "compare.tally": (
        "Of {num} numbers the second run is better in {better} and worse in {worse}; in {undecided} no difference is shown.",
        "在 {num} 个数字中，第二个更好的有 {better} 个，更差的有 {worse} 个，{undecided} 个看不出差别。",
    ),
    "compare.chance": (
        "About {num} intervals would exclude zero by chance alone. Intervals cover the choice of pairs, not that of the training seed: train twice before calling a small gain real.",
        "仅凭偶然，就约有 {num} 个区间不含零。区间反映的是试穿对的选取，而不是训练种子：把小的提升当真之前，请训练两次。",
    ),
    "compare.nothing": ("No number of both runs means the same.", "两次运行没有含义相同的数字。"),
    "nav.compare_settings": ("Settings", "设置"),
    "nav.compare_made": ("Made by", "由何生成"),
    "nav.not_compared": ("Not compared", "未比较"),
    "compare.scores": ("Scores: second minus first", "分数：第二个减去第一个"),
    "compare.scores_note": (
        "Mean of the pair-by-pair differences with its 95 % interval; beneath it the two means. ▲ the second run is better, ▼ it is worse, ≈ no difference shown. Metrics with an ideal are judged by the distance from it.",
        "逐对差值的均值及其 95 % 区间，其下是两个均值。▲ 第二个更好，▼ 更差，≈ 看不出差别。有理想值的指标按与理想值的距离判断。",
    ),
    "compare.pairs": ("{list}: {num} pairs compared.", "{list}：比较了 {num} 对。"),
    "compare.left_out": ("{num} left out: {why}.", "{num} 对未用：{why}。"),
    "compare.left_first": ("only the first run judged them", "只有第一个评测了它们"),
    "compare.left_second": ("only the second run judged them", "只有第二个评测了它们"),
    "compare.left_other": ("photos, garment type or truth differ", "照片、衣服类型或真值不同"),
    "compare.at": ("{list}, {size}, protocol {protocol}", "{list}，{size}，协议 {protocol}"),
    "compare.pairs_behind": ("{num} pairs", "{num} 对"),
    "compare.settings": ("Settings", "设置"),
    "compare.science": ("Settings that shape numbers", "影响数字的设置"),
    "compare.machine": (
        "Settings of machine, places and pages: no number depends on them",
        "机器、位置与页面的设置：数字与之无关",
    ),
    "compare.not_recorded": (
        "Settings are not known: scores of an older version do not record them. Let <code>evaluate</code> run again. No such file: <code>{files}</code>.",
        "设置未知：旧版本的评测没有记录设置。请重新运行 <code>evaluate</code>。缺少文件：<code>{files}</code>。",
    ),
    "compare.same": ("The same in both.", "两者相同。"),
    "compare.setting": ("setting", "设置"),
    "compare.data": ("Data", "数据"),
    "compare.photos": (
        "{first} and {second} photos; {same} are the same, of {changed} the pixels differ, {only_first} are only in the first, {only_second} only in the second.",
        "{first} 张和 {second} 张照片；{same} 张相同，{changed} 张像素不同，{only_first} 张只在第一个中，{only_second} 张只在第二个中。",
    ),
    "compare.in_both": ("in both", "两者都有"),
    "compare.other_photos": ("Photos that differ", "不同的照片"),
    "compare.tables": ("Tables of photos and pairs (sha256)", "照片与试穿对的表（sha256）"),
    "compare.packs": ("What packs were made from", "打包数据的来源"),
    "compare.refused": ("Refused photos and pairs", "被拒绝的照片与试穿对"),
    "compare.made": ("Weights, code, versions", "权重、代码、版本"),
    "compare.trainings": ("Trained stages", "训练的阶段"),
    "compare.code": ("Code behind results", "结果背后的代码"),
    "compare.versions": ("Versions of the scores", "评测时的版本"),
    "compare.machines": ("Machine of the scores", "评测所用的机器"),
    "compare.protocols": ("Protocol: how numbers were made", "协议：数字是怎样得到的"),
    "compare.remark": ("a remark; numbers are compared", "仅作说明，数字仍作比较"),
    "compare.sets": (
        "Distances between sets: one number each, so no interval over pairs",
        "集合之间的距离：各只有一个数字，因此没有逐对的区间",
    ),
    "compare.not_compared": ("Not compared, and why", "未比较的及原因"),
    "compare.everything": ("Every number of both runs is compared.", "两次运行的每个数字都作了比较。"),
}
