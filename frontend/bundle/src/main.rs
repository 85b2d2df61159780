//! Turns the compiled frontend into what a browser loads: JavaScript glue, optimised WASM, fonts and styles, precompressed.
//!
//! Refuses a bundle over its budget, and to leave a half-made one: the old bundle stays until the new one is whole.
//!
//! `bundle [--wasm-opt PATH] [--wasm PATH] [--out FOLDER]`; the environment's `WASM_OPT` names the optimiser as well.

mod styles;

use std::{
    env, fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

/// Name of the files; the server asks for `NAME.js`, `NAME_bg.wasm` and `NAME.css`.
const NAME: &str = "seamless";
/// What the WASM may take over the wire.
const BUDGET: usize = 400_000;
/// Two rounds, the second of which finds what the first made room for, for what every browser of the last years understands; more
/// would be refused by some. The lowest kilobyte of memory is the far end of the stack, where nothing lies that has an address.
const FEATURES: [&str; 10] = [
    "-Oz",
    "-Oz",
    "--low-memory-unused",
    "--strip-producers",
    "--enable-bulk-memory",
    "--enable-nontrapping-float-to-int",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--enable-reference-types",
    "--enable-multivalue",
];

struct Asked {
    wasm: PathBuf,
    out: PathBuf,
    optimiser: Option<PathBuf>,
}

fn asked() -> Result<Asked> {
    let target = PathBuf::from(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()));
    let mut asked = Asked {
        wasm: target.join("wasm32-unknown-unknown/wasm/frontend.wasm"),
        out: target.join("site"),
        optimiser: env::var_os("WASM_OPT").filter(|v| !v.is_empty()).map(PathBuf::from),
    };
    let mut words = env::args_os().skip(1);
    while let Some(word) = words.next() {
        let mut value =
            || words.next().map(PathBuf::from).with_context(|| format!("{} needs a value", word.display()));
        match word.to_str() {
            Some("--wasm-opt") => asked.optimiser = Some(value()?),
            Some("--wasm") => asked.wasm = value()?,
            Some("--out") => asked.out = value()?,
            _ => bail!("{} is not known; known are --wasm-opt, --wasm and --out", word.display()),
        }
    }
    Ok(asked)
}

fn main() -> Result<()> {
    let asked = asked()?;
    ensure!(
        asked.wasm.is_file(),
        "{} is not there: `cargo build -p frontend --profile wasm --target wasm32-unknown-unknown` makes it",
        asked.wasm.display()
    );
    let (new, pkg) = (asked.out.join("pkg.new"), asked.out.join("pkg"));
    if new.exists() {
        fs::remove_dir_all(&new)?;
    }
    fs::create_dir_all(new.join("fonts"))?;

    bind(&asked.wasm, &new)?;
    let wasm = new.join(format!("{NAME}_bg.wasm"));
    match &asked.optimiser {
        Some(program) => optimise(program, &wasm)?,
        None => println!(
            "no wasm-opt was given (--wasm-opt or WASM_OPT): the WASM stays larger than it needs to be"
        ),
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../style");
    fs::write(new.join(format!("{NAME}.css")), styles::join(&root)?)?;
    fs::copy(root.join("favicon.svg"), new.join("favicon.svg"))?;
    for font in fs::read_dir(root.join("fonts"))? {
        let font = font?;
        fs::copy(font.path(), new.join("fonts").join(font.file_name()))?;
    }

    let mut hash = DefaultHasher::new();
    for file in [format!("{NAME}.js"), format!("{NAME}_bg.wasm"), format!("{NAME}.css"), "favicon.svg".into()]
    {
        let bytes = fs::read(new.join(&file))?;
        bytes.hash(&mut hash);
        let small = compress(&bytes)?;
        fs::write(new.join(format!("{file}.br")), &small)?;
        println!("{file:<20} {:>9} bytes, {:>8} over the wire", bytes.len(), small.len());
        if file.ends_with(".wasm") {
            // Without the optimiser it is larger through no fault of the code: worth a word, not a refusal to serve.
            let optimised = asked.optimiser.is_some();
            ensure!(
                !optimised || small.len() <= BUDGET,
                "the WASM is over its budget of {BUDGET} bytes over the wire"
            );
        }
    }
    fs::write(new.join("version"), format!("{:016x}\n", hash.finish()))?;
    if pkg.exists() {
        fs::remove_dir_all(&pkg)?;
    }
    fs::rename(&new, &pkg)?;
    println!("{} is ready", pkg.display());
    Ok(())
}

/// The JavaScript between browser and WASM.
fn bind(wasm: &Path, out: &Path) -> Result<()> {
    wasm_bindgen_cli_support::Bindgen::new()
        .input_path(wasm)
        .out_name(NAME)
        .web(true)?
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(out)
        .with_context(|| format!("making bindings for {}", wasm.display()))
}

/// Smaller for the same work.
fn optimise(program: &Path, wasm: &Path) -> Result<()> {
    let small = wasm.with_extension("opt");
    let status = Command::new(program)
        .args(FEATURES)
        .arg(wasm)
        .arg("-o")
        .arg(&small)
        .status()
        .with_context(|| format!("starting {}", program.display()))?;
    ensure!(status.success(), "{} ended with {status}", program.display());
    fs::rename(small, wasm)?;
    Ok(())
}

fn compress(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let params = brotli::enc::BrotliEncoderParams {
        quality: 11,
        lgwin: 24,
        size_hint: bytes.len(),
        ..Default::default()
    };
    brotli::BrotliCompress(&mut &*bytes, &mut out, &params)?;
    Ok(out)
}
