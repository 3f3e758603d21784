//! The engine's vectors over K and columns of bits, on the host's side, so that computations with them use the
//! processor's own instructions.

use tercet_kernels::{Columns, Vector};
use tercet_mpc::compute::kernels::ROWS;
use tercet_mpc::compute::{BitColumns as _, FieldVector as _};
use tercet_mpc::field::Gf128;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime::{Result, bail};

use super::bindings::tercet::engine::field::{Element, Host, HostColumns, HostVector};
use super::host::State;

/// The vectors and columns of one instance. They count against a bound of their own, as large as the instance's memory.
pub(super) struct Vectors {
    pub(super) table: ResourceTable,
    elements: usize,
    most: usize,
}

impl Vectors {
    /// `memory`: most bytes.
    pub fn new(memory: usize) -> Self {
        Self { table: ResourceTable::new(), elements: 0, most: memory / size_of::<Gf128>() }
    }

    /// Traps unless there is room for this many elements.
    pub(super) fn reserve(&mut self, elements: usize) -> Result<()> {
        if elements > self.most - self.elements {
            bail!("the engine's vectors take more than {} elements", self.most);
        }
        self.elements += elements;
        Ok(())
    }

    /// Gives room for this many elements back.
    pub(super) fn release(&mut self, elements: usize) {
        self.elements -= elements;
    }

    /// Most bytes that all may take.
    pub(super) fn bytes(&self) -> usize {
        self.most * size_of::<Gf128>()
    }

    /// Computes on two of them; the second is lent unchanged.
    fn on<T>(
        &self,
        one: &Resource<Vector>,
        other: &Resource<Vector>,
        f: impl FnOnce(&Vector, &Vector) -> T,
    ) -> Result<T> {
        Ok(f(self.table.get(one)?, self.table.get(other)?))
    }
}

fn value((low, high): Element) -> Gf128 {
    Gf128(u128::from(high) << 64 | u128::from(low))
}

fn element(value: Gf128) -> Element {
    (value.0 as u64, (value.0 >> 64) as u64)
}

fn words(elements: &[Gf128]) -> Vec<u64> {
    elements.iter().flat_map(|e| <[u64; 2]>::from(element(*e))).collect()
}

/// Number of elements whose room this many words take.
fn places(words: usize) -> usize {
    words.div_ceil(2)
}

impl Host for State {}

impl HostColumns for State {
    fn new(&mut self, words: Vec<u64>) -> Result<Resource<Columns>> {
        self.vectors.reserve(places(words.len()))?;
        Ok(self.vectors.table.push(Columns::new(words))?)
    }

    fn row_sums(&mut self, this: Resource<Columns>, weights: Resource<Vector>) -> Result<Vec<u64>> {
        let table = &self.vectors.table;
        Ok(words(&table.get(&this)?.row_sums(table.get(&weights)?)))
    }

    fn values(
        &mut self,
        first: Resource<Columns>,
        second: Resource<Columns>,
        coefficients: Vec<u64>,
    ) -> Result<Resource<Vector>> {
        let mut list = [Gf128::ZERO; ROWS];
        let (pairs, []) = coefficients.as_chunks() else { bail!("half an element") };
        if pairs.len() != ROWS {
            bail!("{} coefficients instead of {ROWS}", pairs.len());
        }
        list.iter_mut().zip(pairs).for_each(|(e, [low, high])| *e = value((*low, *high)));
        let table = &self.vectors.table;
        let halves = [table.get(&first)?, table.get(&second)?];
        // A column's 32 bits become an element.
        let most = halves.iter().map(|h| 2 * h.len()).sum();
        self.vectors.reserve(most)?;
        let vector = {
            let table = &self.vectors.table;
            Columns::values([table.get(&first)?, table.get(&second)?], &list)
        };
        self.vectors.release(most - vector.len());
        Ok(self.vectors.table.push(vector)?)
    }

    fn coset_sums(
        &mut self,
        x0: Resource<Columns>,
        x1: Resource<Columns>,
        y0: Resource<Columns>,
        y1: Resource<Columns>,
        weights: Resource<Vector>,
    ) -> Result<Vec<u64>> {
        let table = &self.vectors.table;
        let (x, y) = ([table.get(&x0)?, table.get(&x1)?], [table.get(&y0)?, table.get(&y1)?]);
        Ok(words(&Columns::coset_sums(x, y, table.get(&weights)?)))
    }

    fn drop(&mut self, this: Resource<Columns>) -> Result<()> {
        let columns = self.vectors.table.delete(this)?;
        self.vectors.release(places(columns.len()));
        Ok(())
    }
}

impl HostVector for State {
    fn new(&mut self, words: Vec<u64>) -> Result<Resource<Vector>> {
        self.vectors.reserve(words.len() / 2)?;
        Ok(self.vectors.table.push(Vector::from_words(&words))?)
    }

    fn powers(&mut self, base: Element, count: u32) -> Result<Resource<Vector>> {
        self.vectors.reserve(count as usize)?;
        Ok(self.vectors.table.push(Vector::powers(value(base), count as usize))?)
    }

    fn words(&mut self, this: Resource<Vector>) -> Result<Vec<u64>> {
        Ok(self.vectors.table.get(&this)?.to_words())
    }

    fn scale(&mut self, this: Resource<Vector>, by: Element) -> Result<()> {
        self.vectors.table.get_mut(&this)?.scale(value(by));
        Ok(())
    }

    fn weigh(&mut self, this: Resource<Vector>, weights: Resource<Vector>) -> Result<()> {
        // Taken out, so that both can be held; a vector weighed with itself gets a copy.
        let mut vector = std::mem::take(self.vectors.table.get_mut(&this)?);
        let done = match this.rep() == weights.rep() {
            true => {
                let weights = vector.clone();
                vector.weigh(&weights);
                Ok(())
            }
            false => self.vectors.table.get(&weights).map(|weights| vector.weigh(weights)),
        };
        *self.vectors.table.get_mut(&this)? = vector;
        Ok(done?)
    }

    fn fold(&mut self, this: Resource<Vector>, point: Element) -> Result<()> {
        let vector = self.vectors.table.get_mut(&this)?;
        let before = vector.len();
        vector.fold(value(point));
        let folded = vector.len();
        self.vectors.release(before - folded);
        Ok(())
    }

    fn halves(&mut self, this: Resource<Vector>, other: Resource<Vector>) -> Result<(Element, Element)> {
        let [low, top] = self.vectors.on(&this, &other, Vector::halves)?;
        Ok((element(low), element(top)))
    }

    fn dot(&mut self, this: Resource<Vector>, other: Resource<Vector>) -> Result<Element> {
        Ok(element(self.vectors.on(&this, &other, Vector::dot)?))
    }

    fn drop(&mut self, this: Resource<Vector>) -> Result<()> {
        let vector = self.vectors.table.delete(this)?;
        self.vectors.release(vector.len());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_bounded() {
        let mut vectors = Vectors::new(1024);
        vectors.reserve(60).unwrap();
        let refused = vectors.reserve(5).unwrap_err().to_string();
        assert!(refused.contains("64 elements"), "{refused}");
        vectors.reserve(4).unwrap();
        assert!(vectors.reserve(usize::MAX).is_err());
        vectors.elements -= 64;
        vectors.reserve(64).unwrap();
    }
}
