//! The name of the store itself, by which a process of another host knows that it sees the same folder: a path may
//! mean something else there.
//!
//! ```text
//! id-v1     a random name, made once
//! ```

use super::{MAX_FILE_BYTES, Store, StoreError, TMP};
use std::{
    hash::{BuildHasher, RandomState},
    io::{self, Write as _},
    thread,
    time::{Duration, Instant},
};

const FILE: &str = "id-v1";

impl Store {
    /// The name of the store, which it is given if it has none.
    ///
    /// # Errors
    /// When the name can be neither read nor written.
    pub fn identity(&self) -> Result<String, StoreError> {
        if let Some(name) = self.known_identity() {
            return Ok(name);
        }
        let path = self.root.join(FILE);
        let random = || RandomState::new().hash_one(self.disk.writer.as_ref());
        let name = format!("{:016x}{:016x}\n", random(), random());
        let made = || -> io::Result<()> {
            let mut file = self.disk.temporary(&self.root.join(TMP))?;
            file.write_all(name.as_bytes())?;
            match self.disk.link(file.path(), &path) {
                // Another process was first, and its name counts.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                // Where a file has only one name.
                Err(_) => file.persist(&path).map(drop),
                Ok(()) => Ok(()),
            }
        };
        made().map_err(|error| self.refused("write", &path, error))?;
        self.known_identity().ok_or_else(|| {
            self.refused("read", &path, io::Error::other("it was written and is not there"))
        })
    }

    /// True if the store has this name. A store without a name may be one whose name is not seen yet, so it is looked
    /// at again for as long as `patience` lasts.
    pub fn is_called(&self, name: &str, patience: Duration) -> bool {
        let began = Instant::now();
        loop {
            match self.known_identity() {
                Some(own) => return own == name,
                None if began.elapsed() >= patience => return false,
                None => thread::sleep(Duration::from_millis(200)),
            }
        }
    }

    fn known_identity(&self) -> Option<String> {
        let text = self.disk.read(&self.root.join(FILE), MAX_FILE_BYTES).ok()?;
        let name = String::from_utf8(text).ok()?.trim().to_owned();
        (!name.is_empty()).then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_has_one_name_and_two_stores_have_two() {
        let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
        let [one, other] = [0, 1].map(|at| Store::open(folders[at].path()).expect("a store"));
        assert!(!one.is_called("any", Duration::ZERO), "it has no name yet");
        let name = one.identity().expect("a name");
        assert_eq!(one.identity().expect("a name"), name);
        let again = Store::open(folders[0].path()).expect("a store");
        assert!(again.is_called(&name, Duration::ZERO));
        assert_ne!(other.identity().expect("a name"), name);
        assert!(!other.is_called(&name, Duration::from_secs(60)), "it waits for no other name");
    }

    #[test]
    fn of_two_processes_that_name_a_store_one_is_first() {
        let folder = tempfile::tempdir().expect("a folder");
        let stores: Vec<_> = (0..8).map(|_| Store::open(folder.path()).expect("a store")).collect();
        let names: Vec<String> = thread::scope(|scope| {
            let named: Vec<_> = stores
                .iter()
                .map(|store| scope.spawn(|| store.identity().expect("a name")))
                .collect();
            named.into_iter().map(|named| named.join().expect("no panic")).collect()
        });
        assert!(names.iter().all(|name| *name == names[0]), "{names:?}");
    }
}
