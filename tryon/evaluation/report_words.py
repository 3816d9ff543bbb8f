"""Every sentence of the pages in English and in Chinese; `tryon.evaluation.report_text` fills and prints them.

Sentences are HTML, their places are in braces; what is filled in is escaped. Reasons of refusals, repairs and doubts
come from the stages, which word them in English, as their tables and logs do.
"""

# ruff: noqa: E501 (sentences, whose width in columns a formatter does not know)
from __future__ import annotations

from tryon.evaluation.compare_words import COMPARE_WORDS

WORDS: dict[str, tuple[str, str]] = {
    **COMPARE_WORDS,
    # ---- the page itself
    "page.skip": ("Skip to the content", "跳到正文"),
    "page.sections": ("Sections", "章节"),
    "page.language": ("Language", "语言"),
    "page.no_script": (
        "Pictures, filters and the other language need JavaScript, which is switched off here; every table stands.",
        "图片、筛选和切换语言需要 JavaScript，而它在此处被关闭；所有表格仍可阅读。",
    ),
    "page.made_by": ("Made by <code>{command}</code>.", "由 <code>{command}</code> 生成。"),
    "page.whole": (
        "This page holds all its pictures and asks no server for anything.",
        "本页自带全部图片，不向任何服务器请求任何内容。",
    ),
    "page.stop": (".", "。"),
    "page.comma": (", ", "，"),
    "nav.summary": ("Verdict", "结论"),
    "nav.stages": ("Stages", "各阶段"),
    "nav.results": ("Results", "结果"),
    "nav.scores": ("Scores", "分数"),
    "nav.training": ("Training", "训练"),
    "nav.data": ("Data", "数据"),
    "nav.quarantine": ("Refused", "拒绝"),
    "nav.leaks": ("Leaks", "泄漏"),
    "nav.repairs": ("Mended", "修正"),
    "nav.review": ("Review", "复核"),
    "nav.photos": ("Photos", "照片"),
    "nav.variants": ("Rules", "规则"),
    "nav.provenance": ("Provenance", "来源"),
    # ---- words
    "word.stage": ("stage", "阶段"),
    "word.reason": ("reason", "原因"),
    "word.photo": ("photo", "照片"),
    "word.pair": ("pair", "试穿对"),
    "word.list": ("list", "列表"),
    "word.system": ("system", "系统"),
    "word.metric": ("metric", "指标"),
    "word.value": ("value", "值"),
    "word.against": ("against", "对照"),
    "word.protocol": ("protocol", "协议"),
    "category.up": ("up", "上衣"),
    "category.down": ("down", "下装"),
    "category.dress": ("dress", "连衣裙"),
    "category.person": ("person", "人"),
    "category.background": ("background", "背景"),
    "category.hair": ("hair", "头发"),
    "category.face": ("face", "脸"),
    "category.left_arm": ("left arm", "左臂"),
    "category.right_arm": ("right arm", "右臂"),
    "role.person": ("person", "人像"),
    "role.garment": ("garment", "衣服"),
    "split.train": ("train", "训练"),
    "split.val": ("val", "验证"),
    "split.test": ("test", "测试"),
    "system.cascade": ("cascade", "级联"),
    "list.test_unpaired": ("Unpaired test pairs: another garment than the one worn", "非配对测试：试穿另一件衣服"),
    "list.test_paired": ("Paired test pairs: the garment that is worn", "配对测试：试穿身上的衣服"),
    "list.val_unpaired": ("Unpaired validation pairs (these guided choices)", "非配对验证（曾用于选择）"),
    "list.val_paired": ("Paired validation pairs (these guided choices)", "配对验证（曾用于选择）"),
    "short.test_unpaired": ("unpaired", "非配对"),
    "short.test_paired": ("paired", "配对"),
    "short.val_unpaired": ("validation, unpaired", "验证，非配对"),
    "short.val_paired": ("validation, paired", "验证，配对"),
    "region.garment": ("inside the garment", "衣服区域内"),
    "region.expected": ("no truth needed", "无需真值"),
    "region.whole": ("whole picture", "整张图片"),
    "region.set": ("all pictures together", "全部图片一起"),
    "region.kept": ("outside the region", "重画区域外"),
    "measure.agreement": ("agreement", "一致度"),
    "measure.predicted_iou": ("predicted IoU", "预测 IoU"),
    "measure.stability": ("stability", "稳定度"),
    # ---- pictures
    "picture.person": ("person", "人像"),
    "picture.garment": ("garment", "衣服"),
    "picture.result": ("result", "结果"),
    "picture.truth": ("truth", "真值"),
    "picture.after": ("{pair}: after {stage}", "{pair}：{stage} 之后"),
    "picture.gone": ("{photo} cannot be shown", "{photo} 无法显示"),
    "panel.photo": ("photo", "照片"),
    "panel.keypoints": ("keypoints", "关键点"),
    "panel.labels": ("labels", "标签图"),
    "panel.cutout": ("cut-out", "抠图"),
    "panel.repaint": ("to repaint", "重画区域"),
    "panel.gone": ("cannot be shown", "无法显示"),
    "slider.label": (
        "Compare: drag, or use the arrow keys, from the left picture to the right one",
        "对比：拖动或用方向键，从左图移到右图",
    ),
    "hero.best": ("best", "最好"),
    "hero.middle": ("middle of the ranking", "排名居中"),
    "hero.worst": ("worst", "最差"),
    # ---- the report's opening
    "report.lead": (
        "{cascade}, {size} pixels. {num} photos, results in <code>{place}</code>.",
        "{cascade}，{size} 像素。{num} 张照片，结果在 <code>{place}</code>。",
    ),
    "report.wins": ("beats {num}", "胜 {num} 个"),
    "report.losses": ("loses to {num}", "负 {num} 个"),
    "report.ties": ("{num} undecided", "{num} 个不分胜负"),
    "report.every_difference": ("Every difference with its interval", "全部差值及其区间"),
    "answer.stage": ("Where is quality lost?", "质量损失在哪一阶段？"),
    "answer.worst": ("What do the worst look like?", "最差的结果是什么样？"),
    "answer.refused": ("What was refused, and why?", "拒绝了什么，为什么？"),
    "answer.worst_of": ("The worst of {num} pairs by {by}.", "{num} 对中按{by}最差的几个。"),
    "answer.of": ("refused, of {num} photos", "个被拒绝，共 {num} 张照片"),
    "answer.no_leak": ("No picture stands in two splits.", "没有图片同时出现在两个划分里。"),
    "answer.doubtful": ("{num} cut-outs are doubtful.", "{num} 个抠图可疑。"),
    # ---- quality in words
    "quality.no_truth": (
        "No pair of these lists has a true picture, so nothing says how near the results are to the truth; "
        "the numbers below need none.",
        "这些列表里没有一对有真实照片，因此无法说明结果离真值有多近；以下数字都不需要真值。",
    ),
    "quality.first": (
        "On {num} {pairs}, inside the garment, by {metric} the cascade {verdicts}.",
        "在 {num} 个{pairs}上，衣服区域内按 {metric}，级联{verdicts}。",
    ),
    "quality.texture": ("By texture ({metric}) the cascade {verdicts}.", "按纹理（{metric}），级联{verdicts}。"),
    "quality.better": ("beats {names}", "胜过{names}"),
    "quality.worse": ("loses to {names}", "不如{names}"),
    "quality.undecided": ("is not told apart from {names}", "与{names}分不出高下"),
    "quality.opponent": ("{name} ({by})", "{name}（{by}）"),
    "quality.pairs.test_unpaired": ("held-out unpaired pairs", "留出的非配对试穿对"),
    "quality.pairs.test_paired": ("held-out paired pairs", "留出的配对试穿对"),
    "quality.pairs.val_unpaired": ("validation unpaired pairs", "验证集的非配对试穿对"),
    "quality.pairs.val_paired": ("validation paired pairs", "验证集的配对试穿对"),
    "quality.few": ("{num} pairs are too few to trust any of this.", "只有 {num} 对，太少，以上都不可信。"),
    "quality.one_pair": ("one pair only", "只有一对"),
    "verdict.better": ("better", "更好"),
    "verdict.worse": ("worse", "更差"),
    "verdict.undecided": ("undecided: the interval holds zero", "不分胜负：区间包含零"),
    "summary.heading": ("What beats what", "谁胜过谁"),
    "summary.minus": ("cascade minus …", "级联减去……"),
    "summary.note": (
        "{list}, inside the true garment, at {size}. Mean of the pair-by-pair differences with its interval "
        "({interval}): ▲ the cascade is better, ▼ it is worse, ≈ the interval holds zero. PSNR favours blurred means; "
        "texture does not.",
        "{list}，真值的衣服区域内，{size}。逐对差值的均值及其区间（{interval}）：▲ 级联更好，▼ 更差，≈ 区间包含零。"
        "PSNR 偏爱模糊的平均，纹理指标不会。",
    ),
    # ---- ablations
    "ablation.title": ("{name} · {title}", "{name} · {title}"),
    "ablation.heading": ("Ablation: {name}", "消融：{name}"),
    "ablation.lead": (
        "{num} rows of settings, judged on the same pairs and compared with <b>{first}</b>. Results in "
        "<code>{place}</code>; the numbers lie beside this page in <code>table.csv</code>, the plots in "
        "<code>plot.svg</code>.",
        "{num} 行设置，在相同的试穿对上评分，并与 <b>{first}</b> 比较。结果在 <code>{place}</code>；数字在本页旁边的 "
        "<code>table.csv</code>，图在 <code>plot.svg</code>。",
    ),
    "ablation.nav_found": ("Findings", "结论"),
    "ablation.nav_pictures": ("Pictures", "图片"),
    "ablation.nav_rows": ("Rows", "各行"),
    "ablation.found": ("What it shows", "结论"),
    "ablation.better": (
        "By {metric}, better than <b>{first}</b>, beyond the interval: {rows}.",
        "按{metric}，区间之外胜过 <b>{first}</b> 的有：{rows}。",
    ),
    "ablation.none_better": (
        "By {metric}, no row is told to be better than <b>{first}</b>.",
        "按{metric}，没有一行可判定胜过 <b>{first}</b>。",
    ),
    "ablation.all_worse": (
        "By {metric}, every other row is worse than <b>{first}</b>.",
        "按{metric}，其他各行都不如 <b>{first}</b>。",
    ),
    "ablation.nothing_to_compare": ("There is one row only, so nothing is compared.", "只有一行，无可比较。"),
    "ablation.missing": ("Not computed here: {metrics}.", "此处未计算：{metrics}。"),
    "ablation.how_plot": (
        "Points are means. Whiskers are the 95 % interval of the pair-by-pair difference from {first} (ringed): where "
        "they do not reach the dashed line, the row differs.",
        "点为均值；须线是与 {first}（带圈）逐对差值的 95 % 区间：须线碰不到虚线，即有差别。",
    ),
    "ablation.how_table": (
        "Protocol <code>{protocol}</code>. Under each mean its 95 % interval, then the difference from {first}, pair by "
        "pair: ▲ better, ▼ worse, ≈ the interval holds zero, or the difference none of the digits shown ({num} resamples, "
        "seed {seed}).",
        "协议 <code>{protocol}</code>。均值下面是它的 95 % 区间，再下面是与 {first} 的逐对差值：▲ 更好，▼ 更差，"
        "≈ 区间包含零，或差值小于显示的位数（重采样 {num} 次，种子 {seed}）。",
    ),
    "ablation.compared_with": ("others are compared with it", "其他各行与它比较"),
    "ablation.pictures": ("The same pairs, row by row", "同样的试穿对，逐行对照"),
    "ablation.how_pictures": (
        "Spread evenly over the ranking of {first} by PSNR inside the garment, the worst first; nobody picked them.",
        "按 {first} 在衣服区域内的 PSNR 排名均匀取样，最差的在前；并非人工挑选。",
    ),
    "ablation.rows": ("What each row changes", "各行的改动"),
    "ablation.row": ("row", "行"),
    "ablation.changes": ("settings", "设置"),
    "ablation.no_changes": ("the run itself", "运行本身"),
    "ablation.trained": ("trained for it", "为它训练"),
    "ablation.none_trained": ("nothing", "无"),
    "ablation.params": ("parameters", "参数量"),
    "ablation.seconds": ("training took", "训练用时"),
    "ablation.folder": ("pictures in", "图片位置"),
    # ---- stages
    "stages.heading": ("Where quality is lost, stage by stage", "质量逐阶段损失在哪里"),
    "stages.after": ("the picture after it, at the final size", "该阶段之后的图片，最终尺寸"),
    "stages.step": ("what it adds, at the final size", "它带来的变化，最终尺寸"),
    "stages.free": ("against the best untrained, own size", "与最强的免训练基线相比，自己的尺寸"),
    "stages.oracle": ("fed with the truth, own size", "输入真值，自己的尺寸"),
    "stages.inherited": ("inherited, own size", "继承的损失，自己的尺寸"),
    "stages.share": ("own error", "自身误差"),
    "stages.share_of": ("share of the final squared error", "占最终平方误差的比例"),
    "stages.true_input": ("true input", "真实输入"),
    "stages.against": ("minus {what}", "减去{what}"),
    "stages.no_truth": (
        "No pair has a true picture, so no stage can be judged.",
        "没有一对有真实照片，无法评判各阶段。",
    ),
    "stages.harmful": (
        "<b>{stage}</b> makes its input worse: {by} {metric} against enlarging {before} without it.",
        "<b>{stage}</b> 使输入变差：与直接放大 {before} 相比 {metric} {by}。",
    ),
    "stages.costs_most": (
        "Quality is lost in <b>{stage}</b>: {share} of the final picture's squared error is its own ({interval}); {others}.",
        "质量损失在 <b>{stage}</b>：最终图片平方误差的 {share} 出自它本身（{interval}）；{others}。",
    ),
    "stages.alike": (
        "The stages' own shares of the final picture's squared error are not told apart: {shares}.",
        "各阶段自身占最终图片平方误差的比例分不出高下：{shares}。",
    ),
    "stages.beaten": (
        "No stage makes its input worse, but <b>{stage}</b> loses to {rival} already at its own {size} ({by}): "
        "look there first.",
        "没有阶段使输入变差，但 <b>{stage}</b> 在自己的 {size} 上就已不如{rival}（{by}）：先看它。",
    ),
    "stages.no_fault": (
        "No stage stands out: none makes its input worse, none loses to a baseline without training.",
        "没有突出的阶段：没有一个使输入变差，也没有一个不如免训练基线。",
    ),
    "stages.note": (
        "{list}, inside the garment. For the first columns the picture after every stage is enlarged to {final}, so that "
        "stages compare.",
        "{list}，衣服区域内。前几列把每个阶段之后的图片都放大到 {final}，因此各阶段可以相比。",
    ),
    "stages.inherited_is": (
        "Inherited: the stage fed with what came before minus the stage fed with the truth. Own error: what of the final "
        "picture's squared error a stage makes itself; it makes on true input, too, what it does not inherit.",
        "继承的损失：该阶段以前面的结果为输入时的得分减去以真值为输入时的得分。自身误差：最终图片的平方误差中由该阶段自己造成的部分，"
        "即它在真实输入上也会造成的那部分。",
    ),
    "stages.no_oracle": (
        "No stage was judged on true input, so what a stage inherits is not told from what it loses itself.",
        "没有用真实输入评测各阶段，因此分不清哪些损失是继承来的，哪些是它自己的。",
    ),
    # ---- gallery
    "results.heading": ("Results", "结果"),
    "results.lead": (
        "Drag over a picture to compare person and result; click a garment to see every stage.",
        "在图片上拖动以对比人像与结果；点击衣服查看每个阶段。",
    ),
    "gallery.by_psnr": ("PSNR inside the garment", "衣服区域内的 PSNR"),
    "gallery.by_colour": ("colour difference to the garment", "与衣服的色差"),
    "gallery.to_garment": ("ΔE to garment {value}", "与衣服的 ΔE {value}"),
    "gallery.rank": ("no. {rank} of {num}", "第 {rank} / {num}"),
    "gallery.ordered": (
        "{list}: {shown} of {num} pairs, ordered by {by}.",
        "{list}：共 {num} 对，显示 {shown} 对，按{by}排序。",
    ),
    "gallery.empty": ("No pair was judged.", "没有评测任何一对。"),
    "filter.label": ("Which results", "选择结果"),
    "filter.list": ("List of pairs", "列表"),
    "filter.order": ("Order", "顺序"),
    "filter.worst": ("worst first", "最差在前"),
    "filter.best": ("best first", "最好在前"),
    "filter.category": ("Garment type", "衣服类型"),
    "filter.all": ("all", "全部"),
    "filter.doubtful": ("doubtful cut-out or keypoints ({num})", "抠图或关键点可疑（{num}）"),
    "filter.search": ("pair id", "试穿对编号"),
    "filter.previous": ("Previous results", "上一页"),
    "filter.next": ("Next results", "下一页"),
    "filter.count": ("{from}–{to} of {num}", "第 {from}–{to} 个，共 {num} 个"),
    "filter.nothing": ("No pair is like that.", "没有符合条件的试穿对。"),
    "doubt.cutout": ("Doubtful cut-out of {photo}: {why}", "{photo} 的抠图可疑：{why}"),
    "doubt.keypoints": (
        "Doubtful keypoints of {photo}: mean score {score}",
        "{photo} 的关键点可疑：平均得分 {score}",
    ),
    "large.title": ("One pair, every stage", "一对试穿的每个阶段"),
    "large.open": ("Enlarge {pair}", "放大 {pair}"),
    "large.before": ("Previous pair", "上一对"),
    "large.after": ("Next pair", "下一对"),
    "large.close": ("Close", "关闭"),
    "large.left": ("left", "左"),
    "large.right": ("right", "右"),
    "large.how": ("Click a picture below to put it on the right.", "点击下面的图片，把它放到右边。"),
    "baselines.heading": ("Beside the baselines and references", "与基线和对照模型并排"),
    "baselines.lead": (
        "Pairs spread evenly over the ranking from worst to best; every picture at {size}.",
        "从最差到最好均匀选取；所有图片均为 {size}。",
    ),
    # ---- scores
    "scores.heading": ("Scores", "分数"),
    "scores.lead": (
        "Means over pairs with 95 % intervals beneath; the best of each column is marked. Cascade, stages, references and "
        "baselines are judged by the same function on the same pairs.",
        "均值，下方为 95 % 区间；每列最好的有标记。级联、各阶段、对照模型和基线都由同一个函数在相同的试穿对上评测。",
    ),
    "scores.pairs_at": ("{num} pairs at {size}", "{num} 对，{size}"),
    "scores.num_pairs": ("{num} pairs", "{num} 对"),
    "scores.direction_higher": ("↑ better", "↑ 更好"),
    "scores.direction_lower": ("↓ better", "↓ 更好"),
    "scores.direction_one": ("1 is ideal", "1 最理想"),
    "scores.direction_zero": ("0 is ideal", "0 最理想"),
    "scores.enlarged": ("enlarged from {size}", "由 {size} 放大"),
    "scores.stage": ("cascade up to {stage}", "级联到 {stage} 为止"),
    "scores.reference": ("reference: {system}", "对照模型：{system}"),
    "scores.oracle": ("{stage} on true input", "{stage}，真实输入"),
    "scores.no_truth": (
        "No truth is known for these pairs: only numbers that need none.",
        "这些试穿对没有真值：只列出不需要真值的数字。",
    ),
    "scores.keep_is_perfect": (
        "The truth of a paired pair is the person's own photo, so “keep” is perfect by definition and takes no "
        "part in the comparison.",
        "配对试穿的真值就是此人自己的照片，因此“保持原样”按定义是完美的，不参与比较。",
    ),
    "scores.protocol": (
        'Protocol: <a href="#protocol">{protocol}</a>.',
        '协议：<a href="#protocol">{protocol}</a>。',
    ),
    "scores.at": ("At {size}: {list}", "{size}：{list}"),
    "scores.by_category": ("By garment type", "按衣服类型"),
    "scores.sets": ("Distances between sets of pictures", "图片集合之间的距离"),
    "scores.by_protocol": ("Protocol {name}: {title}", "协议 {name}：{title}"),
    "scores.meanings": ("What each metric means", "各指标的含义"),
    "scores.protocol_heading": ("Protocol: how the numbers were made", "协议：数字是怎样得到的"),
    "protocol.name": ("protocol", "协议"),
    "protocol.pictures": ("pictures", "图片"),
    "protocol.interval": ("intervals", "区间"),
    "protocol.num_resamples": ("resamples", "重采样次数"),
    "protocol.seed": ("seed of the resamples", "重采样种子"),
    "protocol.psnr_cap_db": ("cap of PSNR, dB", "PSNR 上限，dB"),
    "protocol.sampler": ("sampler", "采样器"),
    "protocol.sampler_steps": ("steps per stage", "每阶段步数"),
    "protocol.guidance": ("guidance", "引导强度"),
    "protocol.sample_seed": ("seed of the samples", "采样种子"),
    # ---- training
    "training.heading": ("Training", "训练"),
    "training.train_loss": ("training loss (running mean)", "训练损失（滑动平均）"),
    "training.val_loss": (
        "validation loss; logarithmic scale over steps",
        "验证损失；纵轴为对数，横轴为步数",
    ),
    "training.facts": (
        "{kind}, {size}: {params} parameters, {steps} steps on {pairs} pairs",
        "{kind}，{size}：{params} 个参数，在 {pairs} 对上训练 {steps} 步",
    ),
    "training.alt": ("training and validation loss over {steps} steps", "{steps} 步的训练与验证损失"),
    "training.first_last": ("training loss {first} → {last}", "训练损失 {first} → {last}"),
    "training.best_val": ("; best validation {loss}", "；最好的验证损失 {loss}"),
    "training.no_val": ("; no validation pairs", "；没有验证对"),
    "training.skipped": (
        "; {num} pairs skipped, a photo of theirs is quarantined",
        "；跳过 {num} 对，其中有照片被隔离",
    ),
    "training.no_losses": (
        "The run directory <code>{folder}</code> holds no losses.",
        "运行目录 <code>{folder}</code> 里没有损失记录。",
    ),
    # ---- data
    "inspect.title": ("Data of {title}", "{title}：数据"),
    "inspect.heading": ("Data", "数据"),
    "inspect.lead": (
        "{num} photos of <code>{folder}</code>, prepared in <code>{place}</code>.",
        "<code>{folder}</code> 的 {num} 张照片，在 <code>{place}</code> 中准备。",
    ),
    "data.heading": ("Data", "数据"),
    "data.found": ("photos found", "张照片"),
    "data.usable": ("usable", "张可用"),
    "data.refused": ("photos or pairs refused", "张照片或试穿对被拒绝"),
    "data.pairs": ("pairs", "试穿对"),
    "data.with_truth": ("pairs with a true picture", "对有真实照片"),
    "data.with_truth_short": ("with a true picture", "有真实照片"),
    "data.photos": ("photos", "照片"),
    "data.category": ("garment", "衣服类型"),
    "data.in_no_pair": ("in no pair", "不在任何对里"),
    "data.all": ("all", "全部"),
    "data.both_rows": (
        "A photo that shows garments of two types counts in both rows.",
        "有两种衣服的照片在两行都计入。",
    ),
    "data.list": ("list of pairs", "列表"),
    "data.categories": ("garments", "衣服类型"),
    "quarantine.heading": ("Refused, and why", "拒绝及原因"),
    "quarantine.some": (
        "{num} photos, files or pairs could not be used. Nothing random stands in for them.",
        "{num} 张照片、文件或试穿对无法使用；没有用随机内容代替它们。",
    ),
    "quarantine.one": (
        "{num} photo, file or pair could not be used. Nothing random stands in for it.",
        "{num} 张照片、文件或试穿对无法使用；没有用随机内容代替它。",
    ),
    "quarantine.none": ("None: every photo went through every stage.", "没有：每张照片都通过了每个阶段。"),
    "quarantine.every": ("All {num}, one by one", "全部 {num} 项，逐一列出"),
    "quarantine.what": ("photo or pair", "照片或试穿对"),
    "leaks.heading": ("One picture in two splits", "同一张图片出现在两个划分里"),
    "leaks.none": (
        "None: no photo of one split shows a picture of another, up to {bits} of 256 bits of the perceptual hash.",
        "没有：没有一张照片与另一划分的图片相同（感知哈希 256 位中相差不超过 {bits} 位）。",
    ),
    "leaks.some": (
        "{num} photos of a later split show a picture that an earlier split holds too: what is judged may have been "
        "learned from. Pictures count as one up to {bits} of 256 bits of their perceptual hash; look at them, as two "
        "colours of one product look alike to it. <code>pairs.leaks: join</code> keeps them in one split.",
        "{num} 张后一划分的照片与前一划分的图片相同：被评测的内容可能训练时见过。感知哈希 256 位中相差不超过 {bits} 位算作"
        "同一张；请亲自看，因为同款两色对它来说是一样的。<code>pairs.leaks: join</code> 会把它们放进同一划分。",
    ),
    "leaks.one": (
        "{num} photo of a later split shows a picture that an earlier split holds too: what is judged may have been "
        "learned from. Pictures count as one up to {bits} of 256 bits of their perceptual hash; look at them, as two "
        "colours of one product look alike to it. <code>pairs.leaks: join</code> keeps them in one split.",
        "{num} 张后一划分的照片与前一划分的图片相同：被评测的内容可能训练时见过。感知哈希 256 位中相差不超过 {bits} 位算作"
        "同一张；请亲自看，因为同款两色对它来说是一样的。<code>pairs.leaks: join</code> 会把它们放进同一划分。",
    ),
    "leaks.two_names": (
        "{num} photos show the very pixels of another identity or garment of the same split: correct "
        "<code>photos.csv</code>, or delete one.",
        "{num} 张照片与同一划分里另一个人或另一件衣服的像素完全相同：改正 <code>photos.csv</code>，或删去一张。",
    ),
    "leaks.two_names_one": (
        "{num} photo shows the very pixels of another identity or garment of the same split: correct "
        "<code>photos.csv</code>, or delete one.",
        "{num} 张照片与同一划分里另一个人或另一件衣服的像素完全相同：改正 <code>photos.csv</code>，或删去一张。",
    ),
    "leaks.shown": (
        "{shown} of {num} rows of <code>pairs/leaks.csv</code>, certain ones first.",
        "<code>pairs/leaks.csv</code> 的 {num} 行中的 {shown} 行，确定的在前。",
    ),
    "leaks.others": ("{num} such photos there", "那里共有 {num} 张这样的照片"),
    "leaks.across splits": ("across splits", "跨划分"),
    "leaks.two names": ("two names", "一图两名"),
    "leaks.file": ("the same file", "同一个文件"),
    "leaks.pixels": ("the same pixels in another file", "另一个文件里的相同像素"),
    "leaks.alike": ("{bits} of 256 bits differ", "256 位中有 {bits} 位不同"),
    "repairs.heading": ("Mended and doubtful photos", "修正过的和可疑的照片"),
    "repairs.some": ("Used after a repair that needed no guess.", "经过无需猜测的修正后使用。"),
    "repairs.none": ("No photo needed mending.", "没有照片需要修正。"),
    "repairs.repair": ("repair", "修正"),
    "repairs.which": ("which", "哪些"),
    "repairs.low_scores": ("Low keypoint scores", "关键点得分低"),
    "repairs.num_visible": ("visible keypoints", "可见关键点"),
    "repairs.mean_score": ("their mean score", "平均得分"),
    "repairs.more": (
        "The 50 worst of {num}; the others are in keypoints/*.parquet, column doubtful.",
        "{num} 个中最差的 50 个；其余见 keypoints/*.parquet 的 doubtful 列。",
    ),
    "review.heading": ("Cut-outs to review", "待复核的抠图"),
    "review.trusted": (
        "The cut-outs are the annotations themselves (<code>cutouts.source: annotations</code>): nothing to compare.",
        "抠图就是标注本身（<code>cutouts.source: annotations</code>）：没有可比较的。",
    ),
    "review.some": (
        "{bad} of {num} photos have a doubtful cut-out: a score below its threshold (<code>cutouts.doubtful_…</code>). "
        "{shown} shown, doubtful ones first, then by the lowest agreement (IoU) with the annotation. An annotation that is "
        "wrong altogether can still agree with the cut-out that it prompted: look at the outlines.",
        "{num} 张照片中有 {bad} 张的抠图可疑：某个得分低于阈值（<code>cutouts.doubtful_…</code>）。显示 {shown} 张，可疑的在前，"
        "然后按与标注的一致度（IoU）从低到高。完全错误的标注仍可能与由它提示得到的抠图一致：请看轮廓。",
    ),
    "review.annotation": ("annotation", "标注"),
    "review.cutout": ("cut-out", "抠图"),
    "review.alt": ("{photo}: outlines of annotation and cut-out", "{photo}：标注与抠图的轮廓"),
    "photos.heading": ("Photos", "照片"),
    "photos.sample": (
        "{shown} of {num} photos: a random sample (seed {seed}).",
        "{num} 张照片中的 {shown} 张：随机抽取（种子 {seed}）。",
    ),
    "photos.sample_bad": (
        "{shown} of {num} photos: a random sample (seed {seed}) and every quarantined one.",
        "{num} 张照片中的 {shown} 张：随机抽取（种子 {seed}），以及每张被隔离的。",
    ),
    "photos.all": ("All {num} photos.", "全部 {num} 张照片。"),
    "photos.each": (
        "Each with its keypoints, label map, garment cut-out and, for a person, the region that is repainted.",
        "每张都有关键点、标签图、衣服抠图；人像还有将要重画的区域。",
    ),
    "photos.quarantined": ("Quarantined", "被隔离"),
    "photos.person": ("People", "人像"),
    "photos.garment": ("Garments", "衣服"),
    "photos.keypoints": ("{num} keypoints ({source})", "{num} 个关键点（{source}）"),
    "photos.agreement": ("cut-out IoU {iou} ({backend})", "抠图 IoU {iou}（{backend}）"),
    "variants.heading": ("What each rule would repaint", "各规则会重画哪里"),
    "variants.lead": (
        "People chosen by seed {seed}, each garment type that they wear. Hatched: the region that the rule repaints, with "
        "its share of the picture; <code>{rule}</code> is in use (setting <code>cutouts.agnostic</code>).",
        "按种子 {seed} 选出的人，及其穿着的每种衣服。斜线部分是该规则重画的区域及其占图片的比例；正在使用 <code>{rule}</code>"
        "（设置项 <code>cutouts.agnostic</code>）。",
    ),
    "variants.in_use": ("{rule} (in use)", "{rule}（使用中）"),
    "variants.alt": ("{photo}: what {rule} repaints for {category}", "{photo}：{rule} 为 {category} 重画的区域"),
    # ---- what was left out, and where all comes from
    "dropped.heading": ("Dropped pairs", "未评测的试穿对"),
    "dropped.none": ("No pair of the judged lists was dropped.", "评测列表中没有丢下任何一对。"),
    "provenance.heading": ("Where the numbers come from", "数字从何而来"),
    "provenance.result": ("result", "结果"),
    "provenance.settings": ("settings", "设置"),
    "provenance.code": ("code", "代码"),
    "provenance.inputs": ("inputs", "输入"),
    "provenance.took": ("took", "用时"),
    "provenance.finished": ("finished", "完成于"),
    "provenance.commit": ("commit", "提交"),
    "provenance.weights": ("Weights", "权重"),
    "provenance.seed": ("seed", "种子"),
    "provenance.run": ("run directory", "运行目录"),
    "provenance.time": ("Time per stage, over all runs so far", "各阶段用时，累计所有运行"),
    "provenance.made": ("items made", "新做的"),
    "provenance.reused": ("items reused", "重用的"),
    "provenance.versions": ("Versions and machine", "版本与机器"),
    "provenance.machine": ("machine", "机器"),
    "provenance.machine_is": ("{cpu}, {cores} cores, {system}", "{cpu}，{cores} 核，{system}"),
}
"""(English, Chinese) by key."""

CHINESE: dict[str, str] = {
    # baselines
    "keep": "保持原样",
    "the person unchanged": "人像不变",
    "paste": "粘贴",
    "the garment over the person, one affine map": "把衣服贴到人身上，一个仿射变换",
    "paste, limbs": "粘贴（随肢体）",
    "the same, sleeves follow the arms": "同上，袖子跟随手臂",
    "mean colour": "平均色",
    "the region in the garment's mean colour": "区域填成衣服的平均色",
    "paste + mean fill": "粘贴 + 平均色填充",
    "paste over the mean colour": "粘贴，底下是平均色",
    "paste, limbs + mean fill": "粘贴（随肢体）+ 平均色填充",
    "paste, limbs over the mean colour": "随肢体粘贴，底下是平均色",
    # metrics
    "PSNR, dB": "PSNR，dB",
    "sharpness": "锐度",
    "ΔE₀₀ of mean": "平均色 ΔE₀₀",
    "ΔE₀₀ to garment": "与衣服的 ΔE₀₀",
    "outside error": "区域外误差",
    "drift of red": "红色偏移",
    "drift of green": "绿色偏移",
    "drift of blue": "蓝色偏移",
    "Mean of the picture minus the truth in this channel, in 8-bit levels: a tint where it keeps its sign.": (
        "该通道上图片减真值的平均，8 位灰度级；始终同号即为偏色。"
    ),
    "10 log10(1 / mean squared error) on RGB in [0, 1]; the mean is over per-picture dB; capped at 60.": (
        "10 log10(1 / 均方误差)，RGB 取 [0, 1]；均值是各图片 dB 的平均；上限 60。"
    ),
    "Wang et al. 2004 on colour: Gaussian window 11x11, sigma 1.5, data range 1; a region averages the SSIM map.": (
        "Wang 等 2004，彩色：11x11 高斯窗，sigma 1.5，数据范围 1；区域取 SSIM 图的平均。"
    ),
    "Gradient-magnitude similarity (Xue et al. 2014): mean of (2 g1 g2 + c) / (g1² + g2² + c), Prewitt on luminance, "
    "c = 170/255².": (
        "梯度幅值相似度（Xue 等 2014）：(2 g1 g2 + c) / (g1² + g2² + c) 的平均，亮度上的 Prewitt 梯度，c = 170/255²。"
    ),
    "Zhang et al. 2018, version 0.1; a region averages the spatial map.": "Zhang 等 2018，0.1 版；区域取空间图的平均。",
    "CIEDE2000 colour difference, mean over pixels; about 1 is just noticeable.": (
        "CIEDE2000 色差，按像素平均；约 1 为刚可察觉。"
    ),
    "CIEDE2000 between the two mean colours: a colour cast, blind to texture and place.": (
        "两个平均色之间的 CIEDE2000：偏色，不看纹理和位置。"
    ),
    "Mean gradient magnitude divided by the truth's: below 1 is blur, above 1 is noise or false edges.": (
        "平均梯度幅值除以真值的：小于 1 是模糊，大于 1 是噪声或伪边缘。"
    ),
    "Mean absolute difference from the person photo where nothing was to be repainted, in 8-bit levels.": (
        "不应重画之处与人像照片的平均绝对差，8 位灰度级。"
    ),
    "CIEDE2000 between the garment cut-out's mean colour and the picture's where the garment should lie; needs no truth.": (
        "衣服抠图的平均色与图片中衣服应在之处的平均色之间的 CIEDE2000；不需要真值。"
    ),
    "preserved IoU": "保留区域 IoU",
    "COCO's object keypoint similarity between the person and the result, found by one pose model: mean of exp(-d² / (2 s² k²)) over visible points, s² the silhouette's area, k COCO's constant of the joint.": (
        "人像与结果之间的 COCO 关键点相似度，由同一个姿态模型检测：可见点上 exp(-d² / (2 s² k²)) 的平均，s² 为人形面积，k 为 COCO 的关节常数。"
    ),
    "Mean over labels of intersection over union of the person's and the result's label maps, outside the repainted region.": (
        "重画区域之外，人像与结果的标签图的交并比，按标签平均。"
    ),
    "Cosine of CLIP's image embeddings of the garment photo and of the result, each cropped to the garment, white around it.": (
        "衣服照片与结果的 CLIP 图像嵌入的余弦，各自裁剪到衣服，周围为白色。"
    ),
    "Cosine of a DINO network's class tokens of the garment photo and of the result, cropped as for CLIP-I.": (
        "衣服照片与结果的 DINO 类别标记的余弦，裁剪方式同 CLIP-I。"
    ),
    # values that evaluation records
    "not computed: weights not given": "未计算：没有给出权重",
    "truth": "真值",
    "8-bit PNG; photos and truths letterboxed and area-averaged; enlarged bicubically": (
        "8 位 PNG；照片和真值加边并按面积平均缩小；双三次放大"
    ),
    "95% percentile bootstrap over pairs": "对试穿对做 95% 百分位自助法",
}
"""What other modules word in English, in Chinese."""
