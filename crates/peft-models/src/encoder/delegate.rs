//! Models with a head are the transformers inside them.

/// Implements [`Transformer`](crate::Transformer) for a struct by its field of that name.
macro_rules! delegate_to_field {
    ($($name:ident { $field:ident }),+ $(,)?) => {$(
        impl $crate::FromEmbeddings for $name {
            fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
                self.$field.embed(ids)
            }

            fn embed_text(&self, ids: Tensor<2, Int>, start: usize) -> Tensor<3> {
                self.$field.embed_text(ids, start)
            }

            fn hidden_from(
                &self,
                embeds: Tensor<3>,
                segments: Option<Tensor<2, Int>>,
                cache: Option<&mut $crate::KvCache>,
            ) -> Tensor<3> {
                self.$field.hidden_from(embeds, segments, cache)
            }

            fn hidden_at(
                &self,
                embeds: Tensor<3>,
                segments: Option<Tensor<2, Int>>,
                at: Tensor<2, Int>,
            ) -> Tensor<3> {
                self.$field.hidden_at(embeds, segments, at)
            }
        }

        impl $crate::Transformer for $name {
            fn begin(&self, embeds: Tensor<3>, start: usize) -> Tensor<3> {
                self.$field.begin(embeds, start)
            }

            fn n_blocks(&self) -> usize {
                self.$field.n_blocks()
            }

            fn run_blocks(
                &self,
                x: Tensor<3>,
                blocks: std::ops::Range<usize>,
                segments: Option<Tensor<2, Int>>,
                cache: Option<&mut $crate::KvCache>,
            ) -> Tensor<3> {
                self.$field.run_blocks(x, blocks, segments, cache)
            }

            fn run_last(
                &self,
                x: Tensor<3>,
                segments: Option<Tensor<2, Int>>,
                at: Tensor<2, Int>,
            ) -> Tensor<3> {
                self.$field.run_last(x, segments, at)
            }

            fn finish(&self, x: Tensor<3>) -> Tensor<3> {
                self.$field.finish(x)
            }

            fn d_model(&self) -> usize {
                self.$field.d_model()
            }

            fn vocab_size(&self) -> usize {
                self.$field.vocab_size()
            }

            fn max_positions(&self) -> usize {
                self.$field.max_positions()
            }

            fn kv_shape(&self) -> (usize, usize) {
                self.$field.kv_shape()
            }
        }
    )+};
}

pub(super) use delegate_to_field;
