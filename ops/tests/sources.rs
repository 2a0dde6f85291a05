//! The sources on small corpora in temporary folders, whole and damaged.

use cache::{Artifact, Digest, FileEntry, Table};
use ops::{
    Detached, Inputs, OpError, Outputs,
    audio::{
        corpus,
        synth::{CLASSES, render},
    },
    find,
};
use serde_json::{Value, json};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

/// Every file below a folder as the engine would list it.
fn listing(root: &Path) -> Vec<FileEntry> {
    fn walk(root: &Path, folder: &Path, found: &mut Vec<FileEntry>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(root, &path, found);
                continue;
            }
            let name = path.strip_prefix(root).expect("below").to_str().expect("text").to_owned();
            let bytes = fs::read(&path).unwrap_or_default();
            let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
            found.push(FileEntry { name, path, digest, size });
        }
    }
    let mut found = Vec::new();
    walk(root, root, &mut found);
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn run(op: &str, params: Value, files: &[FileEntry]) -> Result<Outputs, OpError> {
    let op = find(op).expect("an op").parse(params).map_err(|error| error.message);
    let op = op.expect("parameters");
    op.run(&Inputs::new().with_files(files), &Detached::with_seed(0))
}

fn table<'a>(outputs: &'a Outputs, port: &str) -> &'a Table {
    outputs.get(port).and_then(Artifact::as_table).expect("a table")
}

/// Asserts that the message holds each text and that there is advice.
fn says(result: Result<Outputs, OpError>, texts: &[&str]) {
    let error = result.expect_err("a fault");
    for text in texts {
        assert!(error.message.contains(text), "`{text}` is not in: {}", error.message);
    }
    assert!(error.help.is_some(), "no advice: {}", error.message);
}

fn write(root: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = root.join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(&path, bytes).expect("a file");
    path
}

/// Half a second of a clip.
fn wav(class: u32) -> Vec<u8> {
    let mut signal = render(3, class, 0);
    signal.samples.truncate(44_100);
    corpus::wav(&signal)
}

/// Two classes of one clip, with these files beside them.
fn folder(extra: &[(&str, &[u8])]) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a folder");
    write(root.path(), "cel/a.wav", &wav(0));
    write(root.path(), "pia/b/c.WAV", &wav(6));
    for (name, bytes) in extra {
        write(root.path(), name, bytes);
    }
    root
}

#[test]
fn irmas_is_the_same_as_a_folder_below_a_folder_and_as_an_archive() {
    let root = tempfile::tempdir().expect("a folder");
    let [flat, nested, zipped] = ["flat", "nested", "zipped"].map(|name| root.path().join(name));
    fs::create_dir_all(&zipped).expect("a folder");
    let file = fs::File::create(zipped.join("IRMAS-TrainingData.zip")).expect("an archive");
    let mut archive = zip::ZipWriter::new(file);
    let options = zip::write::SimpleFileOptions::default();
    for recording in corpus::recordings(1, 2) {
        let bytes = recording.wav(1);
        let name = recording.name.replace("[cel]", "008__[cel]");
        write(&flat, &name, &bytes);
        write(&nested, &format!("IRMAS-TrainingData/{name}"), &bytes);
        archive.start_file(format!("IRMAS-TrainingData/{name}"), options).expect("an entry");
        archive.write_all(&bytes).expect("an entry");
    }
    archive.start_file("__MACOSX/cel/._a.wav", options).expect("an entry");
    archive.finish().expect("an archive");

    let read = |path: &Path| run("irmas", json!({ "path": path }), &listing(path)).expect("clips");
    let (flat, nested, zipped) = (read(&flat), read(&nested), read(&zipped));
    for port in ["clips", "labels", "skipped"] {
        assert_eq!(flat.get(port), nested.get(port));
    }
    assert_eq!(flat.get("labels"), zipped.get("labels"));
    let (clips, entries) = (table(&flat, "clips"), table(&zipped, "clips"));
    for (name, column) in clips.columns().filter(|(name, _)| *name != "audio") {
        assert_eq!(Some(column), entries.column(name), "{name}");
    }
    assert!(entries.text("audio").expect("audio")[0].starts_with("zip:"));
    assert_eq!(clips.rows(), 22);
    assert_eq!(clips.ints("frames").expect("frames"), [132_300; 22]);
    assert_eq!(clips.ints("excerpt").expect("excerpt")[..2], [1, 2]);
    let labels = table(&flat, "labels");
    assert_eq!(labels.text("label").expect("label")[0], CLASSES[0]);
    let groups = &labels.text("group").expect("group")[..3];
    assert_eq!(groups, ["cel/008__0001", "cel/008__0001", "cla/0001"]);
}

#[test]
fn irmas_names_what_is_not_of_it() {
    let root = tempfile::tempdir().expect("a folder");
    let path = root.path();
    let irmas = |on_error: &str| {
        run("irmas", json!({ "path": path, "on_error": on_error }), &listing(path))
    };
    says(irmas("fail"), &["neither a WAV file nor a zip archive"]);
    write(path, "bass/[bas][cla]0001__1.wav", &wav(0));
    says(irmas("fail"), &["no WAV file lies in a folder named cel, cla"]);
    write(path, "cel/[cel][cla]0001__1.wav", &wav(0));
    write(path, "pia/[pia][cla]0001__1.wav", &wav(6));
    write(path, "pia/[cel][cla]0002__1.wav", &wav(0));
    write(path, "pia/take one.wav", &wav(6));
    write(path, "copy/pia/[pia][cla]0001__1.wav", &wav(6));
    let texts = [
        "4 of 6 recordings cannot be used",
        "`bass/[bas][cla]0001__1.wav`: lies in no instrument's folder",
        "`pia/[cel][cla]0002__1.wav`: is named `[cel]` but lies in folder `pia`",
        "`pia/take one.wav`: has no `[instrument]`",
        "is the second `pia/[pia][cla]0001__1.wav`",
    ];
    says(irmas("fail"), &texts);
    let skipped = irmas("skip").expect("two clips");
    assert_eq!((table(&skipped, "clips").rows(), table(&skipped, "skipped").rows()), (2, 4));
    assert_eq!(table(&skipped, "clips").text("genre").expect("genre"), ["cla", "cla"]);
}

#[test]
fn a_broken_archive_is_named() {
    let root = tempfile::tempdir().expect("a folder");
    write(root.path(), "a.zip", b"PK\x03\x04 and no more");
    let irmas = || run("irmas", json!({ "path": root.path() }), &listing(root.path()));
    says(irmas(), &["`a.zip` is not a whole zip archive"]);
    write(root.path(), "b.zip", b"");
    says(irmas(), &["several archives", "`a.zip`, `b.zip`"]);
}

#[test]
fn a_folder_of_folders_gives_clips() {
    let root = folder(&[("cel/._a.wav", b"junk")]);
    let params = json!({ "path": root.path() });
    let outputs = run("audio_folder", params, &listing(root.path())).expect("clips");
    let clips = table(&outputs, "clips");
    assert_eq!(clips.text("clip_id").expect("ids"), ["cel/a.wav", "pia/b/c.WAV"]);
    assert_eq!(clips.ints("frames").expect("frames"), [22_050, 22_050]);
    assert_eq!(table(&outputs, "labels").text("label").expect("labels"), ["cel", "pia"]);
    assert!(table(&outputs, "labels").column("group").is_none());
}

#[test]
fn bad_recordings_are_named_all_at_once() {
    let whole = wav(0);
    let mut silent = whole.clone();
    silent[44..].fill(0);
    let mut single = whole[..48].to_vec();
    single[40..44].copy_from_slice(&4_u32.to_le_bytes());
    let mut empty = whole[..44].to_vec();
    empty[40..44].copy_from_slice(&0_u32.to_le_bytes());
    let bad: [(&str, &[u8]); 6] = [
        ("cel/cut.wav", &whole[..2000]),
        ("cel/empty.wav", &empty),
        ("cel/silent.wav", &silent),
        ("cel/single.wav", &single),
        ("cel/text.wav", b"this is no recording"),
        ("top.wav", &whole),
    ];
    let root = folder(&bad);
    let read = |on_error: &str, allow_silent: bool| {
        let path = root.path();
        let params = json!({ "path": path, "on_error": on_error, "allow_silent": allow_silent });
        run("audio_folder", params, &listing(root.path()))
    };
    let texts = [
        "6 of 8 recordings cannot be used",
        "`cel/cut.wav`: ",
        "`cel/empty.wav`: ",
        "`cel/silent.wav`: is silent: every sample is zero",
        "`cel/single.wav`: holds a single frame",
        "`cel/text.wav`: ",
        "`top.wav`: lies in no folder",
    ];
    says(read("fail", false), &texts);
    let skipped = read("skip", false).expect("the others");
    assert_eq!((table(&skipped, "clips").rows(), table(&skipped, "skipped").rows()), (2, 6));
    let names = table(&skipped, "skipped").text("file").expect("files");
    assert!(names.iter().map(String::as_str).eq(bad.iter().map(|(name, _)| *name)));
    let kept = read("skip", true).expect("with silence");
    assert_eq!(table(&kept, "clips").rows(), 3);
}

#[test]
fn an_unreadable_file_is_named() {
    let root = folder(&[]);
    let mut files = listing(root.path());
    files[0].path = root.path().join("gone.wav");
    let read = run("audio_folder", json!({ "path": root.path() }), &files);
    says(read, &["1 of 2 recordings could not be read", "`cel/a.wav`: cannot be read"]);
}

#[test]
fn a_long_list_of_faults_is_cut() {
    let names: Vec<_> = (0..15).map(|at| format!("cel/bad{at:02}.wav")).collect();
    let extra: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b"x"[..])).collect();
    let root = folder(&extra);
    let read = run("audio_folder", json!({ "path": root.path() }), &listing(root.path()));
    says(read, &["15 of 17", "`cel/bad09.wav`", "and 5 more"]);
}

#[test]
fn nothing_and_one_class_are_refused() {
    let read = |files: &[FileEntry]| run("audio_folder", json!({ "path": "data" }), files);
    says(read(&[]), &["no recording in `data`"]);
    let root = folder(&[]);
    says(read(&listing(root.path())[..1]), &["the one clip has the label `cel`"]);
}

#[test]
fn a_manifest_gives_its_lines_in_order() {
    let root = folder(&[]);
    let text = b"path,label,group\npia/b/c.WAV,y,s1\n./cel/a.wav,x,s2\n";
    let list = write(root.path(), "list.csv", text);
    let outputs = run("manifest", json!({ "path": list }), &listing(root.path())).expect("clips");
    let labels = table(&outputs, "labels");
    assert_eq!(labels.text("clip_id").expect("ids"), ["pia/b/c.WAV", "./cel/a.wav"]);
    assert_eq!(labels.text("label").expect("labels"), ["y", "x"]);
    assert_eq!(labels.text("group").expect("groups"), ["s1", "s2"]);
}

#[test]
fn further_columns_of_a_manifest_are_labels() {
    let root = folder(&[]);
    let text = b"id,path,label,speaker,year,sample_rate\n7,pia/b/c.WAV,y,Ann,1999,x\n8,cel/a.wav,x,,2001,z\n";
    let list = write(root.path(), "list.csv", text);
    let outputs = run("manifest", json!({ "path": list }), &listing(root.path())).expect("clips");
    let labels = table(&outputs, "labels");
    assert_eq!(labels.text("clip_id").expect("ids"), ["7", "8"]);
    assert_eq!(labels.text("speaker").expect("a column"), ["Ann", ""]);
    assert_eq!(labels.ints("year").expect("numbers"), [1999, 2001]);
    let speaker = table(&outputs, "speaker");
    assert_eq!(speaker.text("label").expect("labels"), ["Ann", ""]);
    assert_eq!(speaker.text("labels").expect("classes"), ["y", "x"]);
    assert_eq!(table(&outputs, "year").text("label").expect("labels"), ["1999", "2001"]);
    let by_year = json!({ "path": list, "label": "year", "group": "speaker" });
    let outputs = run("manifest", by_year, &listing(root.path())).expect("clips");
    let labels = table(&outputs, "labels");
    assert_eq!(labels.text("label").expect("labels"), ["1999", "2001"]);
    assert_eq!(labels.text("group").expect("groups"), ["Ann", "8"]);
    // A column with a role stays an output.
    assert_eq!(outputs.get("year"), outputs.get("labels"));
    assert_eq!(table(&outputs, "speaker").text("label").expect("labels"), ["Ann", ""]);
    assert_eq!(table(&outputs, "label").text("label").expect("labels"), ["y", "x"]);
    assert!(outputs.get("id").is_none() && outputs.get("path").is_none());
    let unknown = json!({ "path": list, "label": "yeer" });
    let error = run("manifest", unknown, &listing(root.path())).expect_err("no such column");
    assert_eq!(error.param, Some("label"), "{error:?}");
}

#[test]
fn excerpts_are_parts_of_a_recording() {
    let root = folder(&[]);
    let read = |text: &str, params: Value| {
        let list = write(root.path(), "list.csv", text.as_bytes());
        let mut params = params;
        params["path"] = json!(list);
        run("manifest", params, &listing(root.path()))
    };
    let text = "path,start,end,label\ncel/a.wav,0,0.2,x\ncel/a.wav,0.2,0.45,y\npia/b/c.WAV,,,y\n";
    let outputs = read(text, json!({})).expect("clips");
    let labels = table(&outputs, "labels");
    let ids = ["cel/a.wav#t=0,0.2", "cel/a.wav#t=0.2,0.45", "pia/b/c.WAV"];
    assert_eq!(labels.text("clip_id").expect("ids"), ids);
    assert_eq!(labels.text("group").expect("groups"), ["cel/a.wav", "cel/a.wav", "pia/b/c.WAV"]);
    let clips = table(&outputs, "clips");
    let rate = clips.ints("sample_rate").expect("rates")[0];
    let frames = clips.ints("frames").expect("frames");
    assert_eq!(frames[..2], [rate / 5, rate * 9 / 20 - rate / 5]);
    let audio = &clips.text("audio").expect("audio")[1];
    assert!(audio.starts_with("file:") && audio.ends_with("#t=0.2,0.45"), "{audio}");
    let late = "path,start,label\ncel/a.wav,0,x\ncel/a.wav,100,y\npia/b/c.WAV,,y\n";
    says(read(late, json!({})), &["`cel/a.wav#t=100`: starts at 100 s, after the end"]);
    let outputs = read(late, json!({ "on_error": "skip" })).expect("two");
    assert_eq!((table(&outputs, "clips").rows(), table(&outputs, "skipped").rows()), (2, 1));
}

#[test]
fn a_manifest_with_faults_is_explained() {
    let root = folder(&[]);
    let read = |text: &[u8], on_error: &str| {
        let list = write(root.path(), "list.csv", text);
        run("manifest", json!({ "path": list, "on_error": on_error }), &listing(root.path()))
    };
    says(read(b"path,class\ncel/a.wav,x\n", "fail"), &["list.csv", "has no column `label`"]);
    let twice = b"path,label\ncel/a.wav,x\ncel/a.wav,y\n";
    says(read(twice, "skip"), &["line 3 lists `cel/a.wav` again"]);
    let unknown = b"path,label\ncel/a.wav,x\nno.wav,x\npia/b/c.WAV,y\n";
    says(read(unknown, "fail"), &["1 of 3", "`no.wav`: is not there (line 3)"]);
    assert_eq!(table(&read(unknown, "skip").expect("two"), "skipped").rows(), 1);
}

#[test]
fn a_matrix_comes_from_csv() {
    let root = tempfile::tempdir().expect("a folder");
    let read = |name: &str, bytes: &[u8]| {
        let path = write(root.path(), name, bytes);
        let file = FileEntry { name: name.into(), path, digest: Digest::of(bytes), size: 0 };
        run("matrix", json!({ "path": name }), &[file])
    };
    let text = b"clip_id,x,label,y\na,1,cel,2.5\nb,-3,pia,4e1\n";
    let outputs = read("f.csv", text).expect("features");
    let features = table(&outputs, "features");
    assert_eq!(features.array("features").expect("features").values(), [1.0, 2.5, -3.0, 40.0]);
    assert_eq!(features.text("clip_id").expect("ids"), ["a", "b"]);
    assert_eq!(table(&outputs, "labels").text("label").expect("labels"), ["cel", "pia"]);
    let bare = read("bare.csv", b"x\n1\n2\n").expect("features");
    assert_eq!(table(&bare, "features").text("clip_id").expect("ids"), ["0", "1"]);
    assert!(bare.get("labels").is_none());
    let error = |bytes: &[u8]| read("bad.csv", bytes).expect_err("a fault").message;
    assert!(error(b"x,y\n1,2\n3\n").contains("line 3 has 1 fields, not 2"));
    assert!(error(b"x\n1\ntwo\n").contains("has `two` in column `x` of line 3"));
    assert!(error(b"x\n1\nNaN\n").contains("has no value in column `x` of clip `1`"));
    assert!(error(b"clip_id,x\na,1\na,2\n").contains("has the clip `a` twice"));
    assert!(error(b"x,x\n1,2\n").contains("has the column `x` twice"));
    assert!(error(b"clip_id\na\n").contains("has no column of features"));
    assert!(error(b"x\n").contains("has no row"));
    assert!(error(b"").contains("is empty"));
    assert!(error(b"x\n\xff\n").contains("is not UTF-8 text"));
    let help = read("bad.csv", b"x\n\xff\n").expect_err("a fault").help;
    assert!(help.is_some_and(|help| help.contains("write the file again")));
    let op = find("matrix").expect("an op").parse(json!({ "path": "f.txt" }));
    let error = op.map_err(|error| error.message).expect("an op").check(&[]).expect_err("a fault");
    assert!(error.message.contains("`f.txt`"));
}
