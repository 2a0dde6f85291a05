//! The resources that kernels take on a GPU, read from their machine code.
//!
//! A cubin is an ELF file. The code of a kernel is its section `.text.NAME`, sixteen bytes an instruction from sm_70 on,
//! the lowest twelve bits of which say what it does. Registers and local memory stand in `.nv.info`.

#![allow(clippy::unwrap_used, reason = "a failure stops the test")]

use std::collections::HashMap;

/// The attribute of `.nv.info` with the bytes of local memory that a thread needs.
const FRAME_SIZE: u8 = 0x11;
/// The attribute of `.nv.info` with the registers that a thread needs.
const REGISTERS: u8 = 0x2f;
/// The bytes of shared memory that the system takes of each block's.
const RESERVED: usize = 1024;

/// A kernel in a cubin.
pub struct Kernel {
    pub name: String,
    /// Registers of a thread.
    pub registers: u32,
    /// Bytes of a thread's local memory: what does not fit into registers.
    pub local: u32,
    /// Bytes of a block's shared memory.
    pub shared: usize,
    /// Instructions, without those that only fill up.
    pub instructions: usize,
    /// Instructions that read global memory, write shared memory, read shared memory, and multiply.
    pub counts: [usize; 4],
}

struct Section {
    name: String,
    offset: usize,
    size: usize,
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + N].iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn text(bytes: &[u8], at: usize) -> String {
    let end = bytes[at..].iter().position(|byte| *byte == 0).unwrap();
    String::from_utf8_lossy(&bytes[at..at + end]).into_owned()
}

fn sections(cubin: &[u8]) -> Vec<Section> {
    let headers = number::<8>(cubin, 0x28) as usize;
    let [each, count, names] = [0x3a, 0x3c, 0x3e].map(|at| number::<2>(cubin, at) as usize);
    let field =
        |section: usize, at: usize| number::<8>(cubin, headers + section * each + at) as usize;
    let names = field(names, 0x18);
    let one = |at: usize| Section {
        name: text(cubin, names + number::<4>(cubin, headers + at * each) as usize),
        offset: field(at, 0x18),
        size: field(at, 0x20),
    };
    (0..count).map(one).collect()
}

/// The kernels of a cubin, in the order of its sections.
pub fn kernels(cubin: &[u8]) -> Vec<Kernel> {
    let sections = sections(cubin);
    let find = |name: &str| sections.iter().find(|section| section.name == name);
    let bytes = |section: &Section| &cubin[section.offset..section.offset + section.size];
    let (symbols, strings) = (bytes(find(".symtab").unwrap()), bytes(find(".strtab").unwrap()));
    let symbol = |index: usize| text(strings, number::<4>(symbols, 24 * index) as usize);

    let (info, mut at, mut said) = (bytes(find(".nv.info").unwrap()), 0, HashMap::new());
    while at < info.len() {
        // The first byte says how long the attribute is: 4 is followed by a length, others by a value.
        let (form, attribute) = (info[at], info[at + 1]);
        if form == 4 && [FRAME_SIZE, REGISTERS].contains(&attribute) {
            let name = symbol(number::<4>(info, at + 4) as usize);
            said.insert((name, attribute), number::<4>(info, at + 8) as u32);
        }
        at += 4 + if form == 4 { number::<2>(info, at + 2) as usize } else { 0 };
    }

    let coded = sections.iter().filter_map(|it| Some((it.name.strip_prefix(".text.")?, it)));
    coded
        .map(|(name, section)| {
            let codes: Vec<u16> =
                bytes(section).chunks(16).map(|it| number::<2>(it, 0) as u16 & 0xfff).collect();
            let of = |wanted: &[u16]| codes.iter().filter(|code| wanted.contains(code)).count();
            let said = |attribute| said.get(&(name.to_owned(), attribute)).copied().unwrap_or(0);
            let shared = find(&format!(".nv.shared.{name}")).map_or(0, |it| it.size);
            Kernel {
                name: name.to_owned(),
                registers: said(REGISTERS),
                local: said(FRAME_SIZE),
                shared: shared.saturating_sub(RESERVED),
                instructions: codes.len() - of(&[0x918]),
                // LDG and its asynchronous form, STS, LDS and LDSM, FFMA and HMMA.
                counts: [
                    of(&[0x381, 0x981, 0xfae]),
                    of(&[0x388, 0x988]),
                    of(&[0x984, 0x83b]),
                    of(&[0x223, 0x423, 0x823, 0x23c]),
                ],
            }
        })
        .collect()
}
