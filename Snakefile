# `snakemake` in a clone starts here. The workflow itself is workflow/Snakefile; a bare `include` of it would
# plan nothing, because an included file's first rule is not the default target.
module tryon:
    snakefile:
        "workflow/Snakefile"


use rule * from tryon
