//! Bytes → text: UTF-8, UTF-16 and Windows-1252 are read, and files that are not text are named by what they are.

use std::borrow::Cow;

/// What the bytes 0x80 to 0x9F mean in Windows-1252, in which Excel saves a plain CSV; the others are as in Latin-1.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8D}', 'Ž', '\u{8F}', '\u{90}', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9D}', 'ž', 'Ÿ',
];

/// Bytes that are looked at to find out what a file is.
const LOOKED_AT: usize = 4_096;

/// The file as text. UTF-16 is read without its mark too, and what is no UTF-8 is Windows-1252.
///
/// # Errors
/// What the file is instead, as a sentence that says what to do.
pub(super) fn decode(file: &[u8]) -> Result<Cow<'_, str>, String> {
    if let Some(kind) = foreign_kind(file) {
        return Err(format!("the file is {kind}: open it in a spreadsheet program and save the sheet as CSV"));
    }
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        Cow::Owned(char::decode_utf16(units).map(|read| read.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
    };
    let text: Cow<'_, str> = match file {
        [0xFF, 0xFE, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => wide(rest, u16::from_be_bytes),
        _ if is_zero_at_most(file, 1) => wide(file, u16::from_le_bytes),
        _ if is_zero_at_most(file, 0) => wide(file, u16::from_be_bytes),
        _ => {
            let bytes = file.strip_prefix(&[0xEF, 0xBB, 0xBF]).unwrap_or(file);
            std::str::from_utf8(bytes).map_or_else(|_| Cow::Owned(windows_1252(bytes)), Cow::Borrowed)
        }
    };
    match foreign_text(&text) {
        Some(kind) => Err(format!("the file is {kind}: open it in a spreadsheet program and save the sheet as CSV")),
        None => Ok(text),
    }
}

fn windows_1252(bytes: &[u8]) -> String {
    let character = |&byte: &u8| match byte {
        0x80..=0x9F => WINDOWS_1252[usize::from(byte - 0x80)],
        _ => char::from(byte),
    };
    bytes.iter().map(character).collect()
}

/// Whether nearly each second byte, from `start` on, is zero and the others are not: ASCII as UTF-16 without its mark.
fn is_zero_at_most(file: &[u8], start: usize) -> bool {
    let pairs = file[..file.len().min(LOOKED_AT)].chunks_exact(2);
    let count = pairs.len();
    let wide = pairs.filter(|pair| pair[start] == 0 && pair[1 - start] != 0).count();
    count > 0 && wide * 4 >= count * 3
}

/// What a file is that begins like this, if that is no text.
fn foreign_kind(file: &[u8]) -> Option<&'static str> {
    let start = &file[..file.len().min(LOOKED_AT)];
    let holds = |text: &[u8]| start.windows(text.len()).any(|window| window == text);
    match file {
        [b'P', b'K', 3, 4, ..] if holds(b"opendocument.spreadsheet") => Some("an OpenDocument spreadsheet (.ods)"),
        [b'P', b'K', 3, 4, ..] if holds(b"[Content_Types].xml") || holds(b"xl/") => Some("an Excel workbook (.xlsx)"),
        [b'P', b'K', 3, 4, ..] => Some("a ZIP archive, as Excel's .xlsx and other spreadsheets are"),
        [0xD0, 0xCF, 0x11, 0xE0, ..] => Some("an old Excel workbook (.xls)"),
        [b'%', b'P', b'D', b'F', ..] => Some("a PDF document"),
        [0x1F, 0x8B, ..] => Some("compressed (.gz)"),
        _ => None,
    }
}

/// What a text is that begins like this, if that is no CSV.
fn foreign_text(text: &str) -> Option<&'static str> {
    let start: String = text.trim_start_matches('\u{feff}').trim_start().chars().take(64).collect();
    let start = start.to_ascii_lowercase();
    let begins = |marks: &[&str]| marks.iter().any(|mark| start.starts_with(mark));
    if begins(&["<!doctype html", "<html", "<table", "<head", "<body", "<meta", "<style"]) {
        Some("a web page (HTML)")
    } else if begins(&["<?xml", "<workbook", "<!--"]) {
        Some("an XML document")
    } else if begins(&["{\\rtf"]) {
        Some("a text document (RTF)")
    } else if text.contains('\0') {
        Some("no text")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> String {
        decode(bytes).expect("text").into_owned()
    }

    #[test]
    fn what_spreadsheets_write_is_read_with_and_without_marks() {
        let text = "Höhe\t€\n1\t2\n";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [&little, &big] {
            assert_eq!(read(bytes), text);
        }
        assert_eq!(read(&[&[0xFF, 0xFE], &little[..]].concat()), text);
        assert_eq!(read(&[&[0xFE, 0xFF], &big[..]].concat()), text);
        assert_eq!(read("\u{feff}1".as_bytes()), "1");
        assert_eq!(read(b"H\xF6he;\x80;1\xA0500;24\x94"), "Höhe;€;1\u{a0}500;24”");
        assert_eq!(read(b""), "");
    }

    #[test]
    fn a_file_that_is_not_csv_is_refused_by_its_format() {
        for (bytes, kind) in [
            (&b"PK\x03\x04\x14\0\x06\0[Content_Types].xml"[..], ".xlsx"),
            (b"PK\x03\x04mimetypeapplication/vnd.oasis.opendocument.spreadsheetPK", ".ods"),
            (b"PK\x03\x04other", "ZIP"),
            (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", ".xls"),
            (b"%PDF-1.7", "PDF"),
            (b"\x1F\x8B\x08\0", ".gz"),
            (b"\xEF\xBB\xBF\n<HTML><table>", "HTML"),
            (b"<table border=1>", "HTML"),
            (b"<?xml version=\"1.0\"?><Workbook>", "XML"),
            (b"1,2,3\0\0\0\0\0\0", "no text"),
        ] {
            let message = decode(bytes).expect_err("no text");
            assert!(message.contains(kind) && message.contains("save the sheet as CSV"), "{kind}: {message}");
        }
    }
}
