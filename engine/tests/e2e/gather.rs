//! Steps that read all instances of a `for`, or several steps under labels.

use crate::study::Study;

const GATHER: &str = "name: gather
seeds: 1
steps:
  table: { op: matrix, path: table.csv }
  groups: { op: kmeans, for: { k: [10, 2, 3] }, in: table, clusters: \"${k}\" }
  tree: { op: agglomerative, in: table, clusters: 3, linkage: ward }
  agree: { op: agreement, in: groups@* }
  named: { op: agreement, in: { clusters: { ward: tree, kmeans: groups@3.labels } } }
";

fn study() -> Study {
    let study = Study::new().pipeline(GATHER);
    let rows = (0..60).map(|row| format!("{},{}\n", row % 3 * 9 + row % 5, row * row % 11));
    study.write("table.csv", format!("a,b\n{}", rows.collect::<String>()));
    study
}

#[test]
fn instances_are_set_side_by_side_by_their_values_and_never_by_their_step() {
    let mut study = study();
    let first = study.run();
    assert_eq!(first.code, 0, "{}", first.stderr);
    assert!(!first.stderr.contains("warning"), "{}", first.stderr);
    let pairs = |step: &str| {
        let said = study.engine(&["export", "latest", step, "--to", "pairs.csv"]);
        assert_eq!(said.code, 0, "{}", said.stderr);
        let text = study.read("pairs.csv");
        let pair = |line: &str| line.split(',').take(3).collect::<Vec<_>>().join(",");
        text.lines().skip(1).map(pair).collect::<Vec<_>>()
    };
    assert_eq!(pairs("agree"), ["2,3,60", "2,10,60", "3,10,60"], "numbers go by value");
    assert_eq!(pairs("named"), ["kmeans,ward,60"]);
    let report = study.read(first.stdout.trim());
    assert!(report.contains("## Agreement between clusterings"), "{report}");
    assert!(report.contains("| 2 | 10 | 60 |"), "{report}");
    let record = study.record(&first);
    let inputs = &record.step("agree").expect("a step").inputs;
    assert_eq!(inputs["clusters@10"], "groups@10.labels");

    study.edit("groups", "gruppen");
    study.edit("[10, 2, 3]", "[3, 10, 2]");
    assert_eq!(study.ran(), [""; 0], "neither names nor order decide anything");
    study.edit("{ ward: tree", "{ linkage: tree");
    assert_eq!(study.ran(), ["named"], "a label is content");
    study.edit("[3, 10, 2]", "[3, 10, 4]");
    assert_eq!(study.ran(), ["gruppen@4", "agree"]);
    let proved = study.engine(&["cache", "verify", "--recompute", "study.yaml"]);
    assert_eq!(proved.code, 0, "{}", proved.stdout);
    assert!(proved.stdout.contains("7 gave the same bytes"), "{}", proved.stdout);
}

#[test]
fn each_variant_gathers_its_own() {
    let mut study = study();
    study.edit("seeds: 1", "seeds: 2");
    let said = study.run();
    assert_eq!(said.code, 0, "{}", said.stderr);
    let record = study.record(&said);
    for seed in ["0", "1"] {
        let step = record.step(&format!("agree{{seed={seed}}}")).expect("a step");
        let own = format!("groups@2{{seed={seed}}}.labels");
        assert_eq!((step.inputs.len(), &step.inputs["clusters@2"]), (3, &own));
    }
    assert!(study.read(said.stdout.trim()).contains("Means over 2 variants"));
}
