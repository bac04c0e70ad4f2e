//! [`GgufPlace`]: a tensor of a GGUF file, as a checkpoint has it.

use std::borrow::Cow;
use std::path::Path;

use burn::tensor::DType;
use peft_gguf::{ReadError, TensorPlace, TensorType};
use peft_kernels::PackedFormat;

use crate::tensor_file::transpose;

/// How a tensor lies in a GGUF file, beside how it lies in a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// As there.
    Same,
    /// The rows of each head in another order: those of a rotation's pairs follow each other, where
    /// a checkpoint has the first ones of all pairs and then the second ones.
    Pairs {
        /// How many heads.
        heads: usize,
    },
    /// Norms by which 1 is meant where a checkpoint means 0.
    FromOne,
    /// The other way round.
    Transposed,
}

impl Layout {
    /// That of a tensor that ggml calls `name` in a file of an architecture with so many heads of
    /// queries and of keys.
    pub(super) fn of(architecture: &str, name: &str, heads: usize, kv_heads: usize) -> Self {
        let module = name.rsplit('.').nth(1).unwrap_or_default();
        let is_weight = name.ends_with(".weight");
        match (architecture, module) {
            ("llama", "attn_q") => Self::Pairs { heads },
            ("llama", "attn_k") => Self::Pairs { heads: kv_heads },
            ("gemma2" | "gemma3", _) if name.ends_with("norm.weight") => Self::FromOne,
            ("gpt2", "attn_qkv" | "attn_output" | "ffn_up" | "ffn_down") if is_weight => {
                Self::Transposed
            }
            _ => Self::Same,
        }
    }
}

/// Where a tensor is.
#[derive(Debug, Clone)]
pub(crate) struct GgufPlace {
    place: TensorPlace,
    key: String,
    shape: Vec<usize>,
    layout: Layout,
}

impl GgufPlace {
    /// One that is called `key` in a checkpoint.
    ///
    /// # Errors
    ///
    /// Says why it cannot lie so.
    pub(super) fn new(place: TensorPlace, key: String, layout: Layout) -> Result<Self, String> {
        let mut shape = place.shape().to_vec();
        match layout {
            Layout::Same | Layout::FromOne => {}
            Layout::Transposed => shape.reverse(),
            Layout::Pairs { heads } => {
                let rows = shape.first().copied().unwrap_or(0);
                let whole = rows.checked_rem(heads) == Some(0) && (rows / heads).is_multiple_of(2);
                let blocks = place
                    .bytes()
                    .checked_rem(heads.saturating_mul(place.ty().block_bytes()));
                if shape.len() > 2 || !whole || blocks != Some(0) {
                    return Err(format!("{shape:?} in {heads} heads of pairs"));
                }
            }
        }
        Ok(Self {
            place,
            key,
            shape,
            layout,
        })
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub(crate) fn path(&self) -> &Path {
        self.place.path()
    }

    pub(crate) fn ty(&self) -> TensorType {
        self.place.ty()
    }

    /// Whether another tensor of the same type and shape has other bytes.
    ///
    /// # Errors
    ///
    /// Those of the files.
    pub(crate) fn differs_from(&self, other: &Self) -> Result<bool, ReadError> {
        if self.place.bytes() != other.place.bytes() || self.layout != other.layout {
            return Ok(true);
        }
        let (mut done, mut theirs, mut differs, mut failure) = (0, Vec::new(), false, Ok(()));
        self.place.chunks(|ours| {
            theirs.resize(ours.len(), 0);
            failure = other.place.read_at(done, &mut theirs);
            differs = theirs != ours;
            done += ours.len();
            failure.is_ok() && !differs
        })?;
        failure.map(|()| differs)
    }

    /// What [`chunks`](Self::chunks) gives elements in.
    pub(crate) fn format(&self) -> DType {
        match (self.place.ty(), self.layout) {
            (_, Layout::FromOne) => DType::F32,
            (TensorType::F16, _) => DType::F16,
            (TensorType::BF16, _) => DType::BF16,
            _ => DType::F32,
        }
    }

    /// Its elements in the order of a checkpoint, in pieces, for as long as `each` wants more.
    ///
    /// # Errors
    ///
    /// Those of the file.
    pub(crate) fn chunks(&self, mut each: impl FnMut(&[u8]) -> bool) -> Result<(), ReadError> {
        match self.layout {
            Layout::Same => self.place.chunks(|bytes| each(&self.elements(bytes))),
            Layout::FromOne => self.place.chunks(|bytes| {
                let less: Vec<u8> = (self.values(bytes).iter())
                    .flat_map(|value| (value - 1.0).to_le_bytes())
                    .collect();
                each(&less)
            }),
            Layout::Transposed => {
                let mut bytes = vec![0; self.place.bytes()];
                self.place.read_at(0, &mut bytes)?;
                let columns = self.shape.first().copied().unwrap_or(1);
                let elements = self.elements(&bytes);
                each(&transpose(&elements, columns, self.format().size()));
                Ok(())
            }
            Layout::Pairs { heads } => {
                let mut bytes = vec![0; self.place.bytes() / heads];
                let rows = self.shape.first().copied().unwrap_or(1) / heads;
                for head in 0..heads {
                    self.place.read_at(head * bytes.len(), &mut bytes)?;
                    // [rows / 2, 2, columns] to [2, rows / 2, columns].
                    let elements = self.elements(&bytes);
                    let row = elements.len() / rows.max(1);
                    if !each(&transpose(&elements, 2, row)) {
                        break;
                    }
                }
                Ok(())
            }
        }
    }

    /// The format of its blocks, where they lie output by output in the file.
    pub(crate) fn packed(&self, transposed: bool) -> Option<PackedFormat> {
        let by_outputs = match self.layout {
            Layout::Same | Layout::Pairs { .. } => transposed,
            Layout::Transposed => !transposed,
            Layout::FromOne => false,
        };
        PackedFormat::of_ggml(self.ty()).filter(|_| by_outputs)
    }

    /// The bytes of its blocks, in a checkpoint's order of rows: a row is whole blocks.
    ///
    /// # Errors
    ///
    /// Those of the file.
    pub(crate) fn packed_bytes(&self) -> Result<Vec<u8>, ReadError> {
        let mut bytes = vec![0; self.place.bytes()];
        self.place.read_at(0, &mut bytes)?;
        let Layout::Pairs { heads } = self.layout else {
            return Ok(bytes);
        };
        let of_head = bytes.len() / heads;
        let rows = self.shape.first().copied().unwrap_or(1) / heads;
        for head in bytes.chunks_exact_mut(of_head.max(1)) {
            let turned = transpose(head, 2, of_head / rows.max(1));
            head.copy_from_slice(&turned);
        }
        Ok(bytes)
    }

    /// Blocks as elements of [`format`](Self::format).
    fn elements<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        match self.place.ty() {
            TensorType::F32 | TensorType::F16 | TensorType::BF16 => bytes.into(),
            _ => {
                let values = self.values(bytes);
                values
                    .iter()
                    .flat_map(|value| value.to_le_bytes())
                    .collect()
            }
        }
    }

    fn values(&self, bytes: &[u8]) -> Vec<f32> {
        let ty = self.place.ty();
        let mut values = vec![0.0; bytes.len() / ty.block_bytes() * ty.block_values()];
        ty.unpack(bytes, &mut values);
        values
    }
}
