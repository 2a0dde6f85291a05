//! The text below the options in the help of each command: examples and exit codes.

/// The meaning of the exit codes.
pub const EXIT_CODES: &str = "Exit codes:
  0    done
  1    a step failed
  2    bad pipeline, data or usage
  3    partly done (--keep-going)
  130  interrupted
  101  a bug in the engine";

/// The examples of the whole binary.
pub const ALL: &str = "Examples:
  engine init study                                      a first pipeline that runs
  engine run pipelines/quickstart.yaml                   a study without any data at hand
  engine run pipelines/table1.yaml --set data=IRMAS      the published study on your copy of IRMAS
  engine plan pipelines/quickstart.yaml                  what would run, why, and how long
  engine runs                                            the runs there are
  engine why latest r1.ari                               where a number comes from

Results go to standard output and everything else to standard error.";

/// The examples of `engine run`.
pub const RUN: &str = "Examples:
  engine run pipelines/quickstart.yaml
  engine run pipelines/quickstart.yaml --set clusters=8 --set vae.beta=2
  engine run study.yaml --only pca             pca and what it needs
  engine run study.yaml --until norm           all but what comes after norm
  engine run study.yaml --force groups         groups once more
  engine run study.yaml --live                 with a page that shows how it goes
  engine run study.yaml --serve                the same, at an address of this machine
  engine run study.yaml --on lab.yaml          on the cluster that lab.yaml describes
  engine run study.yaml --log-format json      events for programs, one JSON object a line";

/// The examples of `engine plan`.
pub const PLAN: &str = "Examples:
  engine plan study.yaml
  engine plan study.yaml --set clusters=8      what that would run
  engine plan study.yaml --json";

/// Examples of `engine cancel`.
pub const CANCEL: &str = "Examples:
  engine cancel                                of all studies in the store
  engine cancel table1 --store /scratch/me/engine";

/// Examples of `engine worker`.
pub const WORKER: &str = "Examples:
  engine worker PLAN --kind cpu --memory 16GB --until 7200";

/// Examples of `engine step`.
pub const STEP: &str = "Examples:
  engine step request.json --store .engine    run it, and print what became of it as JSON";

/// The examples of `engine explain`.
pub const EXPLAIN: &str = "Examples:
  engine explain study.yaml pca
  engine explain study.yaml groups@pca --set clusters=8";

/// The examples of `engine graph`.
pub const GRAPH: &str = "Examples:
  engine graph study.yaml                              for Markdown
  engine graph study.yaml --format dot | dot -Tsvg > study.svg
  engine graph study.yaml --expand                     each instance by itself";

/// The examples of `engine ops`.
pub const OPS: &str = "Examples:
  engine ops
  engine ops log_mel";

/// The examples of `engine schema`.
pub const SCHEMA: &str = "Examples:
  engine schema > pipeline.schema.json";

/// The examples of `engine synth`.
pub const SYNTH: &str = "Examples:
  engine synth corpus
  engine synth corpus --clips-per-class 10 --seed 1";

/// The examples of `engine fetch`.
pub const FETCH: &str = "Examples:
  engine fetch irmas data/irmas";

/// The examples of `engine runs`.
pub const RUNS: &str = "Examples:
  engine runs
  engine runs quickstart
  engine runs --tag paper                      those of `engine run --tag paper`
  engine runs --json";

/// The examples of `engine show`.
pub const SHOW: &str = "Examples:
  engine show                                  the newest run
  engine show quickstart                       the newest run of a study
  engine show latest --sort ari --top 10       the best points of a sweep
  engine show latest --filter 'vae.latent>=8'
  engine show latest --report > report.md
  engine show 2026-01-31-120000 --json";

/// The examples of `engine pack`.
pub const PACK: &str = "Examples:
  engine pack latest study.tar.zst             the newest run
  engine pack table1/latest /tmp/table1.tar.zst";

/// The examples of `engine unpack`.
pub const UNPACK: &str = "Examples:
  engine unpack study.tar.zst
  engine unpack study.tar.zst --out runs --store .engine

`engine cache verify --recompute` then computes the results again and compares them.";

/// The examples of `engine diff`.
pub const DIFF: &str = "Examples:
  engine diff 2026-01-31-120000 latest
  engine diff runs/study/latest other/study/latest --md";

/// The examples of `engine compare`.
pub const COMPARE: &str = "Examples:
  engine compare runs/table1/2026-*                    all runs of a study
  engine compare pca vae/latest --sort ari --top 10
  engine compare 2026-01-31-120000-000 latest --csv > both.csv";

/// The examples of `engine why`.
pub const WHY: &str = "Examples:
  engine why latest r3.ari                     third row, by its metric
  engine why latest study#r3c2                 third row, second metric
  engine why latest 'PCA(16) + K-Means.ari'    a row by its title";

/// The examples of `engine watch`.
pub const WATCH: &str = "Examples:
  engine watch pipelines/quickstart.yaml       open the page that it names, then edit the pipeline";

/// The examples of `engine report`.
pub const REPORT: &str = "Examples:
  engine report
  engine report quickstart/latest";

/// The examples of `engine export`.
pub const EXPORT: &str = "Examples:
  engine export latest pca.latent --to latent.parquet
  engine export latest mel.features --to mel.npy
  engine export latest --to tensorboard tb     then: tensorboard --logdir tb";

/// The examples of `engine init`.
pub const INIT: &str = "Examples:
  engine init study
  engine run study/study.yaml";

/// The examples of `engine completions`.
pub const COMPLETIONS: &str = "Examples:
  engine completions bash > ~/.local/share/bash-completion/completions/engine
  engine completions zsh > ~/.zfunc/_engine
  engine completions fish > ~/.config/fish/completions/engine.fish";

/// The examples of `engine cache`.
pub const CACHE: &str = "Examples:
  engine cache du
  engine cache gc --dry-run
  engine cache verify --recompute --sample 5%";

/// The examples of `engine help`.
pub const HELP: &str = "Examples:
  engine help run
  engine help cache gc
  engine help sweep                            samplers and their settings
  engine help figures                          kinds of figures, and what they are drawn from";

/// The examples of `engine devices`.
pub const DEVICES: &str = "Examples:
  engine devices
  engine run pipelines/quickstart.yaml --device cuda";
