//! The lines of a list of recordings: excerpts, classes, and further columns.

use super::excerpt::Excerpt;
use cache::{
    csv::{self, CsvTable},
    missing::{self, is_missing},
};
use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    path::{Component, Path, PathBuf},
};

/// The column of the file of a recording.
const PATH: &str = "path";
/// The columns of the times of an excerpt.
const TIMES: [&str; 2] = ["start", "end"];

/// The names of the columns with a role.
pub(super) struct Roles<'a> {
    /// The column of the class.
    pub label: &'a str,
    /// The column of the recording, which may be absent unless the user has named it.
    pub group: (&'a str, bool),
    /// The column of the name of the clip, likewise.
    pub id: (&'a str, bool),
}

impl Roles<'_> {
    fn has(&self, column: &str) -> bool {
        self.places(column) || [self.label, self.group.0].contains(&column)
    }

    /// True if a column says which part of which recording a clip is, or what it is called.
    fn places(&self, column: &str) -> bool {
        [PATH, TIMES[0], TIMES[1], self.id.0].contains(&column)
    }
}

/// A list of recordings.
pub(super) struct List {
    /// The lines.
    pub rows: Vec<Row>,
    /// The further columns in their order, each with a cell for each line.
    pub columns: Vec<(String, Vec<String>)>,
    /// The columns that are outputs of their own, likewise.
    pub ports: Vec<(String, Vec<String>)>,
}

/// A line of the list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub line: u64,
    pub id: String,
    pub path: String,
    pub label: String,
    pub group: Option<String>,
    pub excerpt: Option<Excerpt>,
}

/// The columns of a list that are outputs of labels.
pub(super) fn ports<'c>(
    columns: &'c [String],
    roles: &'c Roles<'_>,
) -> impl Iterator<Item = (usize, &'c String)> {
    columns.iter().enumerate().filter(|(_, name)| !name.is_empty() && !roles.places(name))
}

/// The error of a list.
pub(super) struct Fault {
    /// The role of the column that the user has named wrongly.
    pub role: Option<&'static str>,
    /// The end of a sentence about the list.
    pub reason: String,
}

impl From<String> for Fault {
    fn from(reason: String) -> Self {
        Self { role: None, reason }
    }
}

/// Parses the lines of a list.
///
/// # Errors
/// All faulty lines, or the column that is missing.
pub(super) fn read(bytes: &[u8], roles: &Roles<'_>) -> Result<List, Fault> {
    let table = CsvTable::read(bytes)?;
    let named = |name: &str, role| {
        table
            .place(name)
            .map_err(|reason| Fault { role: Some(role).filter(|_| name != role), reason })
    };
    let has = |name: &str| table.names().iter().any(|own| own == name);
    let may = |(name, is_said): (&str, bool), role| {
        (is_said || has(name)).then(|| named(name, role)).transpose()
    };
    let (path, label) = (table.place(PATH)?, named(roles.label, "label")?);
    let (group, id) = (may(roles.group, "group")?, may(roles.id, "id")?);
    let [start, end] = TIMES.map(|name| has(name).then(|| table.place(name)).transpose());
    let (start, end) = (start?, end?);
    let cut = [start, end].iter().any(Option::is_some);

    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    let mut seen: HashMap<(PathBuf, Option<Excerpt>), u64> = HashMap::new();
    let mut ids: HashMap<String, u64> = HashMap::new();
    for at in 0..table.rows() {
        let line = table.line(at);
        let cell = |column: usize| table.cell(at, column).into_owned();
        let needed =
            [Some((PATH, path)), Some((roles.label, label)), id.map(|it| (roles.id.0, it))];
        let lacks = |(_, column): &(&str, usize)| is_missing(&cell(*column));
        if let Some((name, column)) = needed.into_iter().flatten().find(lacks) {
            let written = match cell(column) {
                cell if cell.is_empty() => String::new(),
                cell => format!(" (`{cell}` means that there is none)"),
            };
            faults.push(format!("line {line} has no {name}{written}"));
            continue;
        }
        let path = cell(path);
        let time = |column: Option<usize>| column.map(cell).filter(|cell| !is_missing(cell));
        let times = (time(start), time(end));
        let excerpt = match &times {
            (None, None) => Ok(None),
            (start, end) => Excerpt::new(start.as_deref(), end.as_deref()).map(Some),
        };
        let excerpt = match excerpt {
            Ok(excerpt) => excerpt,
            Err(reason) => {
                faults.push(format!("line {line} {reason}"));
                continue;
            }
        };
        let written = match excerpt {
            Some(excerpt) => format!("{path}{excerpt}"),
            None => path.clone(),
        };
        if let Some(first) = seen.insert((plain(Path::new(&path)), excerpt), line) {
            faults.push(format!("line {line} lists `{written}` again, after line {first}"));
            continue;
        }
        let id = id.map_or(written, cell);
        if let Some(first) = ids.insert(id.clone(), line) {
            let name = roles.id.0;
            faults.push(format!("line {line} has the {name} `{id}` again, after line {first}"));
            continue;
        }
        let group = group.map(cell);
        rows.push(Row { line, id, label: cell(label), group, path, excerpt });
    }
    if cut {
        faults.extend(share_groups(&mut rows));
    }
    if !faults.is_empty() {
        return Err(csv::listed(&faults).into());
    }
    if rows.is_empty() {
        return Err("lists no recording".to_owned().into());
    }
    let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
    let given: Vec<String> = rows.iter().filter_map(|row| row.group.clone()).collect();
    // Either no row has a group, or the rule of [`missing::groups`] applies to all.
    let groups = (!given.is_empty()).then(|| missing::groups(&ids, &given)).flatten();
    match groups {
        Some(groups) => rows.iter_mut().zip(groups).for_each(|(row, own)| row.group = Some(own)),
        None => rows.iter_mut().for_each(|row| row.group = None),
    }
    let mut ports: Vec<(String, Vec<String>)> = Vec::new();
    for (place, name) in self::ports(table.names(), roles) {
        table.place(name)?;
        let cells = (0..table.rows()).map(|row| {
            let cell = table.cell(row, place);
            if is_missing(&cell) { String::new() } else { cell.into_owned() }
        });
        ports.push((name.clone(), cells.collect()));
    }
    let columns = ports.iter().filter(|(name, _)| !roles.has(name)).cloned().collect();
    Ok(List { rows, columns, ports })
}

/// Gives excerpts of one recording the same group: the one that is written, or else the recording.
/// Returns the faults of recordings with several groups.
fn share_groups(rows: &mut [Row]) -> Vec<String> {
    let mut recordings: HashMap<PathBuf, (String, u64, bool)> = HashMap::new();
    let mut faults = BTreeMap::new();
    for row in rows.iter() {
        let (given, is_given) = match &row.group {
            Some(group) if !is_missing(group) => (group, true),
            _ => (&row.path, false),
        };
        match recordings.entry(plain(Path::new(&row.path))) {
            Entry::Vacant(place) => drop(place.insert((given.clone(), row.line, is_given))),
            Entry::Occupied(mut place) => {
                let (group, line, was_given) = place.get_mut();
                if is_given && *was_given && group != given {
                    let error = format!(
                        "line {} has the group `{given}` and line {line} the group `{group}`, but both are of `{}`",
                        row.line, row.path
                    );
                    faults.insert(row.line, error);
                } else if is_given && !*was_given {
                    (*group, *was_given) = (given.clone(), true);
                }
            }
        }
    }
    for row in rows {
        let known = recordings.get(&plain(Path::new(&row.path)));
        row.group = known.map(|(group, ..)| group.clone());
    }
    faults.into_values().collect()
}

/// A path without `.` and with single slashes, so that two spellings of a path are equal.
pub(super) fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLES: Roles<'static> =
        Roles { label: "label", group: ("group", false), id: ("id", false) };

    fn rows(bytes: &[u8]) -> Result<Vec<Row>, String> {
        read(bytes, &ROLES).map(|list| list.rows).map_err(|error| error.reason)
    }

    #[test]
    fn reads_columns_in_any_order() {
        let rows =
            rows(b"\xef\xbb\xbfnote,label,path,group\n,cel, a.wav ,s1\n,pia,\"b,1.wav\",s2\n");
        let row = |line, path: &str, label: &str, group: &str| Row {
            line,
            id: path.into(),
            path: path.into(),
            label: label.into(),
            group: Some(group.into()),
            excerpt: None,
        };
        assert_eq!(rows, Ok(vec![row(2, "a.wav", "cel", "s1"), row(3, "b,1.wav", "pia", "s2")]));
    }

    #[test]
    fn columns_without_a_role_are_kept() {
        let list = read(b"id,path,label,speaker,,age\n1,a.wav,x,Ann,,30\n2,b.wav,y,NA,,\n", &ROLES);
        let list = list.unwrap_or_else(|error| panic!("{}", error.reason));
        let column = |name: &str, cells: [&str; 2]| (name.into(), cells.map(String::from).to_vec());
        assert_eq!(list.columns, [column("speaker", ["Ann", ""]), column("age", ["30", ""])]);
        assert_eq!(list.rows.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    }

    #[test]
    fn a_clip_without_a_group_is_a_recording_of_its_own() {
        let groups = |text: &[u8]| -> Vec<Option<String>> {
            rows(text).expect("a list").into_iter().map(|row| row.group).collect()
        };
        let own = |name: &str| Some(name.to_owned());
        let some = groups(b"path, label, group\na.wav,x,\nb.wav,x,s1\nc.wav,y,NA\n");
        assert_eq!(some, [own("a.wav"), own("s1"), own("c.wav")]);
        assert_eq!(groups(b"path,label,group\na.wav,x,\nb.wav,x, \n"), [None, None]);
        assert_eq!(groups(b"path,label\na.wav,x\nb.wav,x\n"), [None, None]);
    }

    #[test]
    fn excerpts_of_a_recording_share_its_group() {
        let read = |text: &[u8]| {
            let rows = rows(text).expect("a list").into_iter();
            rows.map(|row| (row.id, row.group.expect("a group"))).collect::<Vec<_>>()
        };
        let of = |rows: &[(&str, &str)]| {
            rows.iter().map(|(id, group)| (id.to_string(), group.to_string())).collect::<Vec<_>>()
        };
        let plain = read(b"path,start,end,label\na.wav,0,1.5,x\n./a.wav,1.5,,y\nb.wav,,,y\n");
        let expected = [("a.wav#t=0,1.5", "a.wav"), ("./a.wav#t=1.5", "a.wav"), ("b.wav", "b.wav")];
        assert_eq!(plain, of(&expected));
        let given = read(b"path,start,label,group,id\na.wav,0,x,,p\na.wav,2,x,s,q\nb.wav,,y,,r\n");
        assert_eq!(given, of(&[("p", "s"), ("q", "s"), ("r", "b.wav")]));
        let error = rows(b"path,start,label,group\na.wav,0,x,s\na.wav,2,x,t\n").expect_err("two");
        assert!(error.contains("line 3 has the group `t` and line 2 the group `s`"), "{error}");
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        let says = |text: &[u8], expected: &str| {
            let error = rows(text).expect_err("a faulty list");
            assert!(error.contains(expected), "{error}");
        };
        says(b"", "is empty");
        says(b"path,label\n", "lists no recording");
        says(b"file,label\na.wav,x\n", "has no column `path`, only `file`, `label`");
        says(b"path,class\na.wav,x\n", "has no column `label`");
        says(b"path,label\na.wav,x\nb.wav\n", "line 3 has 1 fields, not 2");
        says(b"path,label\na.wav,x\n./a.wav,y\n", "line 3 lists `./a.wav` again, after line 2");
        says(b"path,label\na.wav,\n,x\n", "line 2 has no label; line 3 has no path");
        says(b"path,label\na.wav, NaN \n", "line 2 has no label (`NaN` means that there is none)");
        says(b"path,label,label\na.wav,x,y\n", "has the column `label` twice");
        says(b"path,label,x,x\na.wav,x,1,2\n", "has the column `x` twice");
        says(b"path;label\na.wav;x\n", "is separated by semicolons, not commas");
        says(b"path,label\na.wav,x\nb\xff.wav,x\n", "is not UTF-8 text (line 3)");
        says(b"path,label,id\na.wav,x,1\nb.wav,x,1\nc.wav,y,\n", "line 3 has the id `1` again");
        says(b"path,label,id\na.wav,x,1\nb.wav,x,\n", "line 3 has no id");
        says(
            b"path,label,start,end\na.wav,x,2,1\n",
            "line 2 ends at 1 s, not after its start at 2 s",
        );
        says(
            b"path,label,start\na.wav,x,0:12\n",
            "line 2 has `start` `0:12`, not a time in seconds",
        );
        says(b"path,label,end\na.wav,x,5\na.wav,x,5.0\n", "line 3 lists `a.wav#t=0,5` again");
    }
}
