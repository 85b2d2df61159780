//! The file: a line that names it, then one compressed stream of records, the last of which is the SHA-256 of all before it.
//!
//! Refuses to write over anything: the file gets its name when it is whole and on the disk. Refuses to be read in part: whoever reads
//! without an error has read all of it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, BufWriter, ErrorKind, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{
    format::{Header, MAGIC, Totals, damaged, pack, unpack},
    read::{Piece, Source},
};
use crate::{
    error::{Error, Result},
    store::schema::Table,
};

/// Logs are compressed already; the rest shrinks well at any level.
const LEVEL: i32 = 3;

mod tag {
    pub const HEADER: u8 = b'H';
    pub const TABLE: u8 = b'T';
    pub const ROW: u8 = b'R';
    pub const END: u8 = b'E';
    pub const SUM: u8 = b'Z';
}

/// Writes a backup. One that is dropped before its end leaves nothing.
pub struct Writer {
    out: Option<zstd::Encoder<'static, BufWriter<File>>>,
    hash: Sha256,
    draft: PathBuf,
    path: PathBuf,
}

impl Writer {
    /// Begins a file that only its owner may read: it holds hashes of tokens and everything people wrote.
    pub fn create(path: &Path, header: &Header) -> Result<Self> {
        let refuse = |why: String| Error::field("FILE", why);
        if path.exists() {
            return Err(refuse(format!("{} is there already: give another name", path.display())));
        }
        let mut draft = path.as_os_str().to_owned();
        draft.push(format!(".part.{}", std::process::id()));
        let draft = PathBuf::from(draft);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let file =
            options.open(&draft).map_err(|e| refuse(format!("{} cannot be made: {e}", draft.display())))?;
        let mut file = BufWriter::new(file);
        file.write_all(MAGIC)?;
        let mut out = zstd::Encoder::new(file, LEVEL)?;
        out.include_checksum(true)?;
        let mut writer = Self { out: Some(out), hash: Sha256::new(), draft, path: path.to_owned() };
        writer.record(tag::HEADER, &serde_json::to_vec(header)?)?;
        Ok(writer)
    }

    /// The next piece.
    pub fn put(&mut self, piece: &Piece) -> Result<()> {
        match piece {
            Piece::Table(table) => self.record(tag::TABLE, &serde_json::to_vec(table)?),
            Piece::Row(row) => self.record(tag::ROW, &pack(row)),
            Piece::End(name, totals) => self.record(tag::END, &serde_json::to_vec(&(name, totals))?),
        }
    }

    fn record(&mut self, tag: u8, bytes: &[u8]) -> Result<()> {
        let length = u32::try_from(bytes.len()).map_err(|_| Error::internal("a row is over 4 GB"))?;
        let Some(out) = &mut self.out else { return Ok(()) };
        for part in [&[tag][..], &length.to_le_bytes(), bytes] {
            self.hash.update(part);
            out.write_all(part)?;
        }
        Ok(())
    }

    /// Ends the file and gives it its name.
    pub fn finish(mut self) -> Result<()> {
        let sum = self.hash.clone().finalize();
        self.record(tag::SUM, &sum)?;
        let Some(out) = self.out.take() else { return Ok(()) };
        let file = out.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(&self.draft, &self.path)?;
        sync_folder(&self.path)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.draft);
    }
}

/// So that a name outlives the machine's fall.
pub fn sync_folder(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(File::open(folder)?.sync_all()?)
}

/// Reads a backup.
pub struct Reader {
    from: zstd::Decoder<'static, BufReader<BufReader<File>>>,
    hash: Sha256,
    header: Header,
    totals: Option<(String, Totals)>,
}

impl Reader {
    /// Opens a file and reads what it begins with.
    pub fn open(path: &Path) -> Result<Self> {
        let refuse = |why: String| Error::field("FILE", why);
        let file = File::open(path).map_err(|e| refuse(format!("{} cannot be read: {e}", path.display())))?;
        let mut file = BufReader::new(file);
        let mut line = Vec::new();
        (&mut file).take(MAGIC.len() as u64).read_to_end(&mut line)?;
        let word = &MAGIC[..MAGIC.len() - 2];
        if line != MAGIC {
            return Err(refuse(if line.starts_with(word) {
                "was written by a newer Seamless, in a format that this one does not know: restore it with that version".into()
            } else {
                format!("{} is no backup of Seamless", path.display())
            }));
        }
        let from = zstd::Decoder::new(file)?;
        let empty = Header { program: String::new(), at: 0, steps: Vec::new(), mark: String::new() };
        let mut reader = Self { from, hash: Sha256::new(), header: empty, totals: None };
        let Some((tag::HEADER, bytes)) = reader.record()? else { return Err(damaged("it has no header")) };
        reader.header = serde_json::from_slice(&bytes).map_err(|_| damaged("its header is none"))?;
        Ok(reader)
    }

    /// What it begins with.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The next record; nothing at the end, after which there is nothing in the file.
    fn record(&mut self) -> Result<Option<(u8, Vec<u8>)>> {
        let before = self.hash.clone();
        let mut head = [0; 5];
        fill(&mut self.from, &mut head)?;
        let [tag, length @ ..] = head;
        let length = u32::from_le_bytes(length);
        let mut bytes = Vec::new();
        // Not all at once: the length may be the damage.
        let read = (&mut self.from).take(u64::from(length)).read_to_end(&mut bytes).map_err(broken)?;
        if read as u64 != u64::from(length) {
            return Err(damaged("it is cut short"));
        }
        if tag != tag::SUM {
            self.hash.update(head);
            self.hash.update(&bytes);
            return Ok(Some((tag, bytes)));
        }
        if before.finalize().as_slice() != bytes {
            return Err(damaged("its checksum is wrong"));
        }
        // Only at its very end is the stream's own checksum looked at.
        match self.from.read(&mut [0]).map_err(broken)? {
            0 => Ok(None),
            _ => Err(damaged("something follows its end")),
        }
    }

    /// The next piece; nothing at the end.
    pub fn read(&mut self) -> Result<Option<Piece>> {
        let Some((tag, bytes)) = self.record()? else {
            return match self.totals {
                None => Ok(None),
                Some(_) => Err(damaged("a table has no end")),
            };
        };
        let json = |_| damaged("a record is none");
        match (tag, &mut self.totals) {
            (tag::TABLE, totals @ None) => {
                let table: Table = serde_json::from_slice(&bytes).map_err(json)?;
                *totals = Some((table.name.clone(), Totals::default()));
                Ok(Some(Piece::Table(table)))
            }
            (tag::ROW, Some((_, totals))) => {
                totals.add(&bytes);
                Ok(Some(Piece::Row(unpack(&bytes)?)))
            }
            (tag::END, totals @ Some(_)) => {
                let stated: (String, Totals) = serde_json::from_slice(&bytes).map_err(json)?;
                if totals.take().as_ref() != Some(&stated) {
                    return Err(damaged("a table has other rows than it says"));
                }
                Ok(Some(Piece::End(stated.0, stated.1)))
            }
            _ => Err(damaged("a record is out of place")),
        }
    }
}

impl Source for Reader {
    async fn next(&mut self) -> Result<Option<Piece>> {
        self.read()
    }
}

fn fill(from: &mut impl Read, bytes: &mut [u8]) -> Result<()> {
    from.read_exact(bytes).map_err(broken)
}

fn broken(error: io::Error) -> Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => damaged("it is cut short"),
        _ => damaged(&error.to_string()),
    }
}
