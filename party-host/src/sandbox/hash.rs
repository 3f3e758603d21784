//! The engine's keystreams and digests: on the host's side, where BLAKE3 has the processor's vectors.

use tercet_mpc::hash::{Digest as _, Hasher, KeyStream as _, OutputReader};
use wasmtime::component::Resource;
use wasmtime::{Result, bail};

use super::bindings::tercet::engine::hash::{Host, HostDigest, HostKeystream};
use super::host::State;

/// A keystream. Its `Debug` shows nothing.
pub struct Keystream(OutputReader);

impl std::fmt::Debug for Keystream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keystream(..)")
    }
}

/// A digest that is being made.
#[derive(Debug)]
pub struct MessageDigest(Hasher);

/// Size of a digest, in elements of a vector: it holds a stack of chaining values. A stream takes less.
const PLACES: usize = size_of::<Hasher>().div_ceil(16);

impl Host for State {}

impl HostKeystream for State {
    fn new(&mut self, key: Vec<u8>, input: Vec<u8>) -> Result<Resource<Keystream>> {
        let Ok(key) = key.try_into() else { bail!("a key has 32 bytes") };
        self.vectors.reserve(PLACES)?;
        Ok(self.vectors.table.push(Keystream(OutputReader::new(&key, &input)))?)
    }

    fn read(&mut self, this: Resource<Keystream>, bytes: u32) -> Result<Vec<u8>> {
        // The engine has to find room for as many in its own memory.
        if bytes as usize > self.vectors.bytes() {
            bail!("{bytes} bytes at once are more than an engine may hold");
        }
        let mut drawn = vec![0; bytes as usize];
        self.vectors.table.get_mut(&this)?.0.fill(&mut drawn);
        Ok(drawn)
    }

    fn drop(&mut self, this: Resource<Keystream>) -> Result<()> {
        self.vectors.table.delete(this)?;
        self.vectors.release(PLACES);
        Ok(())
    }
}

impl HostDigest for State {
    fn new(&mut self) -> Result<Resource<MessageDigest>> {
        self.vectors.reserve(PLACES)?;
        Ok(self.vectors.table.push(MessageDigest(tercet_mpc::compute::Digest::new()))?)
    }

    fn update(&mut self, this: Resource<MessageDigest>, bytes: Vec<u8>) -> Result<()> {
        self.vectors.table.get_mut(&this)?.0.update(&bytes);
        Ok(())
    }

    fn finish(&mut self, this: Resource<MessageDigest>) -> Result<Vec<u8>> {
        Ok(self.vectors.table.get(&this)?.0.finish().to_vec())
    }

    fn drop(&mut self, this: Resource<MessageDigest>) -> Result<()> {
        self.vectors.table.delete(this)?;
        self.vectors.release(PLACES);
        Ok(())
    }
}
