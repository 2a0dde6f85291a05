//! Figures as files: pictures that a user's program drew, shown in a report as they are, and PDFs of the drawn
//! ones.

use crate::{
    browser::{self, Page},
    study::{CommandOutput, Study},
};

const PIPELINE: &str = "name: small
steps:
  data: { op: matrix, path: data.csv }
  shape: { op: command, command: [sh, draw.sh, \"{in.x}\", \"{out.y}\"], in: { x: data }, outputs: { y: svg } }
report:
  style: { palette: muted }
  figures:
    - { figure: scatter, of: data }
    - { figure: picture, of: shape, title: Two <b>squares</b>, caption: What the program drew. }
";

/// Draws a square.
const SQUARE: &str = "test \"${2##*.}\" = svg && cat > \"$2\" <<'END'
<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"40\" height=\"30\"><rect width=\"20\" height=\"20\"/></svg>
END
";

/// The smallest PNG: one white pixel.
const PIXEL: [u8; 67] = [
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52,
    0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x00, 0x00, 0x00, 0x00, 0x3a, 0x7e, 0x9b,
    0x55, 0x00, 0x00, 0x00, 0x0a, 0x49, 0x44, 0x41, 0x54, 0x78, 0x9c, 0x63, 0xf8, 0x0f, 0x00, 0x01,
    0x01, 0x01, 0x00, 0xb1, 0x38, 0xf6, 0x14, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae,
    0x42, 0x60, 0x82,
];

/// The pipeline with a program.
fn study(script: &str) -> Study {
    let study = Study::new().pipeline(PIPELINE);
    study.write("data.csv", "clip_id,u,v\na,0,1\nb,0.5,1\nc,9,9\nd,9,8\n");
    study.write("draw.sh", script);
    study
}

fn fine(said: &CommandOutput) {
    assert_eq!(said.code, 0, "{}", said.stderr);
}

#[test]
fn a_picture_of_a_program_is_a_figure_of_the_report() {
    let study = study(SQUARE);
    let said = study.run();
    fine(&said);
    let drawn = SQUARE.lines().nth(1).map(|svg| format!("{svg}\n")).expect("an SVG");
    let run = |name: &str| study.read(&format!("runs/small/latest/{name}"));
    assert_eq!(run("figures/02-picture.svg"), drawn, "as the program left it");
    let page = run("report.html");
    let image = "<img class=\"picture\" alt=\"Two &lt;b&gt;squares&lt;/b&gt;\" src=\"data:image/svg+xml;base64,";
    assert!(page.contains(image), "{page}");
    assert!(page.contains("Two &lt;b&gt;squares&lt;/b&gt;.</strong> What the program drew."));
    assert!(run("report.md").contains("](figures/02-picture.svg)"));
    let record = study.record(&said);
    assert_eq!(record.figures[1].figure, "picture");
    assert!(record.figures[1].options.is_empty(), "no style is laid over it");
    assert_eq!(study.ran(), [""; 0]);

    let to = |words: &[&str]| {
        let said = study.engine(&[&["export", "small"], words].concat());
        fine(&said);
        said
    };
    to(&["shape.y", "--to", "own/shape.svg"]);
    assert_eq!(study.read("own/shape.svg"), drawn);
    let said = study.engine(&["export", "small", "shape", "--to", "shape.png"]);
    assert!(said.stderr.contains("end it in .svg, as its program drew it"), "{}", said.stderr);
    for format in ["svg", "png", "pdf"] {
        let said = to(&["figures", "--to", format, "--format", format]);
        assert_eq!(study.read(&format!("{format}/02-picture.svg")), drawn);
        let is_told =
            said.stderr.contains("`02-picture` is written as its program drew it, as SVG");
        assert_eq!(is_told, format != "svg", "{}", said.stderr);
        assert!(study.path(format!("{format}/01-scatter.{format}")).is_file());
    }
}

#[test]
fn a_png_is_a_figure_too() {
    let mut study = study("test \"${2##*.}\" = png && cp pixel.png \"$2\"");
    study.write("pixel.png", PIXEL);
    study.edit("y: svg", "y: png");
    study.edit(", title: Two <b>squares</b>, caption: What the program drew.", "");
    fine(&study.run());
    let written = std::fs::read(study.path("runs/small/latest/figures/02-picture.png"));
    assert_eq!(written.expect("a picture"), PIXEL);
    let page = study.read("runs/small/latest/report.html");
    assert!(page.contains("alt=\"shape\" src=\"data:image/png;base64,iVBORw0KGgo"));
    assert!(page.contains("Drawn by the program of the step shape."));
    assert!(study.read("runs/small/latest/report.md").contains("](figures/02-picture.png)"));
}

#[test]
fn what_is_no_picture_or_too_large_is_refused_with_a_way_out() {
    for (script, made, expected, help) in [
        ("echo hello > \"$2\"", "svg", "`{out.y}` of `sh` is no SVG", "write an SVG there"),
        ("echo '<svg/>' > \"$2\"", "png", "`{out.y}` of `sh` is no PNG", "or `svg` in `outputs`"),
        ("true", "svg", "`sh` made no file at `{out.y}`", "its whole log"),
        (
            "head -c 8388609 /dev/zero > \"$2\"",
            "svg",
            "`{out.y}` of `sh` is longer than 8 MB, the most for a picture",
            "draw fewer marks",
        ),
        (
            "echo '<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1e6mm\"/>' > \"$2\"",
            "svg",
            "pixels wide or high, and 20000 are the most",
            "draw it smaller",
        ),
    ] {
        let mut study = study(script);
        study.edit("y: svg", &format!("y: {made}"));
        let said = study.run();
        assert_eq!(said.code, 1, "{script}: {}", said.stderr);
        let text = said.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(expected) && text.contains(help), "{script}: {}", said.stderr);
    }
    let mut study = study(SQUARE);
    study.edit("picture, of: shape", "picture, of: data, width: 80");
    let said = study.run();
    assert_eq!(said.code, 2);
    for part in ["`of` of a figure `picture` takes picture", "has no entry `width`", "shape.y"] {
        assert!(said.stderr.contains(part), "{part}: {}", said.stderr);
    }
}

/// An SVG that would run scripts and ask for files if it were part of a page.
const HOSTILE: &str = "cat > \"$2\" <<'END'
<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"90\" height=\"30\" onload=\"tell('onload')\">
<style>@import url(ADDRESS?style);</style><script>tell('script'); function tell(word) { parent.document.title = word; fetch('ADDRESS') }</script>
<image href=\"ADDRESS?image\" width=\"9\" height=\"9\"/><foreignObject><body xmlns=\"http://www.w3.org/1999/xhtml\"><img src=\"x\" onerror=\"tell('onerror')\"/></body></foreignObject>
</svg>
END
";

/// A script that waits for the picture, and tells what became of the page.
const READER: &str = "<script>addEventListener('load', async () => {
  const image = document.querySelector('img.picture');
  await image.decode();
  await new Promise(done => setTimeout(done, 300));
  const body = `${image.naturalWidth} ${document.title} ${document.querySelectorAll('foreignObject').length}`;
  fetch('ADDRESS', { method: 'POST', mode: 'no-cors', body });
});</script>";

#[test]
fn a_hostile_picture_runs_nothing_and_asks_for_nothing() {
    let study = study(&HOSTILE.replace("ADDRESS", "http://127.0.0.1:9/"));
    fine(&study.run());
    let page = study.read("runs/small/latest/report.html");
    for part in ["tell('", "foreignObject", "127.0.0.1", "@import"] {
        assert!(!page.contains(part), "`{part}` is part of the page");
    }
    let Some(browser) = browser::find("no hostile picture is shown") else { return };
    let folder = study.path("runs/small/latest").canonicalize().expect("a run");
    let opened = Page::open(&browser, &folder, |address| {
        // The picture asks for the address of this test, which hears nothing but the reader.
        study.write("draw.sh", HOSTILE.replace("ADDRESS", address));
        fine(&study.run());
        let page = study.read("runs/small/latest/report.html");
        page.replace("<head>", &format!("<head>{}", READER.replace("ADDRESS", address)))
    });
    assert_eq!(opened.receive().as_deref(), Some("90 small 0"));
}

#[test]
fn figures_are_exported_as_pdf() {
    let mut study = study(SQUARE);
    study.edit("    - { figure: picture, of: shape, title: Two <b>squares</b>, caption: What the program drew. }\n", "");
    fine(&study.run());
    let folder = study.path("runs/small/latest/figures");
    assert!(!folder.join("01-scatter.pdf").exists(), "the report has none");
    let said = study.engine(&["export", "small", "figures", "--format", "pdf", "--to", "paper"]);
    fine(&said);
    assert!(said.stderr.contains("wrote 1 figures into `paper`"), "{}", said.stderr);
    let pdf = std::fs::read(study.path("paper/01-scatter.pdf")).expect("a PDF");
    assert!(pdf.starts_with(b"%PDF-1.") && pdf.trim_ascii_end().ends_with(b"%%EOF"));
    let holds = |part: &[u8]| pdf.windows(part.len()).any(|it| it == part);
    assert!(holds(b"/MediaBox") && holds(b"/ToUnicode"), "a page with text that stays text");
    let again = study.engine(&["export", "small", "figures", "--format", "pdf", "--to", "twice"]);
    fine(&again);
    assert_eq!(std::fs::read(study.path("twice/01-scatter.pdf")).expect("a PDF"), pdf);
    let wrong = study.engine(&["export", "small", "data", "--format", "pdf", "--to", "x.csv"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains("`--format` is of `figures`"), "{}", wrong.stderr);
}
