//! The traits of models for enums of models.

/// Implements [`Transformer`](crate::Transformer) for an enum by what its variants do.
macro_rules! delegate_transformer {
    ($name:ident { $($variant:ident),+ $(,)? }) => {
        impl $crate::FromEmbeddings for $name {
            fn embed(&self, ids: burn::tensor::Tensor<2, burn::tensor::Int>) -> burn::tensor::Tensor<3> {
                match self {
                    $(Self::$variant(model) => model.embed(ids),)+
                }
            }

            fn embed_text(
                &self,
                ids: burn::tensor::Tensor<2, burn::tensor::Int>,
                start: usize,
            ) -> burn::tensor::Tensor<3> {
                match self {
                    $(Self::$variant(model) => model.embed_text(ids, start),)+
                }
            }

            fn hidden_from(
                &self,
                embeds: burn::tensor::Tensor<3>,
                segments: Option<burn::tensor::Tensor<2, burn::tensor::Int>>,
                cache: Option<&mut $crate::KvCache>,
            ) -> burn::tensor::Tensor<3> {
                match self {
                    $(Self::$variant(model) => model.hidden_from(embeds, segments, cache),)+
                }
            }

            fn hidden_at(
                &self,
                embeds: burn::tensor::Tensor<3>,
                segments: Option<burn::tensor::Tensor<2, burn::tensor::Int>>,
                at: burn::tensor::Tensor<2, burn::tensor::Int>,
            ) -> burn::tensor::Tensor<3> {
                match self {
                    $(Self::$variant(model) => model.hidden_at(embeds, segments, at),)+
                }
            }
        }

        impl $crate::Transformer for $name {
            fn begin(&self, embeds: burn::tensor::Tensor<3>, start: usize) -> burn::tensor::Tensor<3> {
                match self {
                    $(Self::$variant(model) => model.begin(embeds, start),)+
                }
            }

            fn n_blocks(&self) -> usize {
                match self {
                    $(Self::$variant(model) => model.n_blocks(),)+
                }
            }

            fn run_blocks(
                &self,
                x: burn::tensor::Tensor<3>,
                blocks: std::ops::Range<usize>,
                segments: Option<burn::tensor::Tensor<2, burn::tensor::Int>>,
                cache: Option<&mut $crate::KvCache>,
            ) -> burn::tensor::Tensor<3> {
                match self {
                    $(Self::$variant(model) => model.run_blocks(x, blocks, segments, cache),)+
                }
            }

            fn run_last(
                &self,
                x: burn::tensor::Tensor<3>,
                segments: Option<burn::tensor::Tensor<2, burn::tensor::Int>>,
                at: burn::tensor::Tensor<2, burn::tensor::Int>,
            ) -> burn::tensor::Tensor<3> {
                match self {
                    $(Self::$variant(model) => model.run_last(x, segments, at),)+
                }
            }

            fn finish(&self, x: burn::tensor::Tensor<3>) -> burn::tensor::Tensor<3> {
                match self {
                    $(Self::$variant(model) => model.finish(x),)+
                }
            }

            fn d_model(&self) -> usize {
                match self {
                    $(Self::$variant(model) => model.d_model(),)+
                }
            }

            fn vocab_size(&self) -> usize {
                match self {
                    $(Self::$variant(model) => model.vocab_size(),)+
                }
            }

            fn max_positions(&self) -> usize {
                match self {
                    $(Self::$variant(model) => model.max_positions(),)+
                }
            }

            fn cache_holds(&self, cached: usize, length: usize) -> bool {
                match self {
                    $(Self::$variant(model) => model.cache_holds(cached, length),)+
                }
            }

            fn kv_shape(&self) -> (usize, usize) {
                match self {
                    $(Self::$variant(model) => model.kv_shape(),)+
                }
            }
        }
    };
}

pub(crate) use delegate_transformer;
