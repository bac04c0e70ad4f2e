//! [`cases!`](crate::cases), [`adapter_suite!`](crate::adapter_suite) and
//! [`model_suite!`](crate::model_suite!): functions of a device as tests, one a backend of the
//! build.
//!
//! What a macro expands to is compiled with the features of the crate that calls it, which may call
//! its own as it likes. So whether a backend is there is asked here, by defining a macro that keeps
//! or drops its tests.

/// What is given, where this build has Flex.
#[cfg(feature = "flex")]
#[doc(hidden)]
#[macro_export]
macro_rules! on_flex {
    ($($item:item)*) => { $($item)* };
}

/// What is given, where this build has Flex.
#[cfg(not(feature = "flex"))]
#[doc(hidden)]
#[macro_export]
macro_rules! on_flex {
    ($($item:item)*) => {};
}

/// What is given, where this build has NdArray.
#[cfg(feature = "ndarray")]
#[doc(hidden)]
#[macro_export]
macro_rules! on_ndarray {
    ($($item:item)*) => { $($item)* };
}

/// What is given, where this build has NdArray.
#[cfg(not(feature = "ndarray"))]
#[doc(hidden)]
#[macro_export]
macro_rules! on_ndarray {
    ($($item:item)*) => {};
}

/// What is given, where this build has Vulkan.
#[cfg(feature = "vulkan")]
#[doc(hidden)]
#[macro_export]
macro_rules! on_vulkan {
    ($($item:item)*) => { $($item)* };
}

/// What is given, where this build has Vulkan.
#[cfg(not(feature = "vulkan"))]
#[doc(hidden)]
#[macro_export]
macro_rules! on_vulkan {
    ($($item:item)*) => {};
}

/// What is given, where this build has wgpu.
#[cfg(feature = "wgpu")]
#[doc(hidden)]
#[macro_export]
macro_rules! on_wgpu {
    ($($item:item)*) => { $($item)* };
}

/// What is given, where this build has wgpu.
#[cfg(not(feature = "wgpu"))]
#[doc(hidden)]
#[macro_export]
macro_rules! on_wgpu {
    ($($item:item)*) => {};
}

/// What is given, where this build has CUDA.
#[cfg(feature = "cuda")]
#[doc(hidden)]
#[macro_export]
macro_rules! on_cuda {
    ($($item:item)*) => { $($item)* };
}

/// What is given, where this build has CUDA.
#[cfg(not(feature = "cuda"))]
#[doc(hidden)]
#[macro_export]
macro_rules! on_cuda {
    ($($item:item)*) => {};
}

/// Turns functions of a device into one test a backend: `cases!(one, two);` runs `one(&device)`
/// and `two(&device)` as `flex::one`, `ndarray::one` and so on.
///
/// `cases!(on the cores: one, two);` leaves out the backends whose tensors are not in the process's
/// own memory.
#[macro_export]
macro_rules! cases {
    (on the cores: $($name:ident),+ $(,)?) => {
        $crate::on_flex! {
            mod flex {
                $(#[test] fn $name() { super::$name(&$crate::device("flex")); })+
            }
        }
        $crate::on_ndarray! {
            mod ndarray {
                $(#[test] fn $name() { super::$name(&$crate::device("ndarray")); })+
            }
        }
    };
    ($($name:ident),+ $(,)?) => {
        $crate::cases!(on the cores: $($name),+);
        $crate::on_vulkan! {
            mod vulkan {
                $(#[test] fn $name() { super::$name(&$crate::device("vulkan")); })+
            }
        }
        $crate::on_wgpu! {
            mod wgpu {
                $(#[test] fn $name() { super::$name(&$crate::device("wgpu")); })+
            }
        }
        $crate::on_cuda! {
            mod cuda {
                $(#[test] fn $name() { super::$name(&$crate::device("cuda")); })+
            }
        }
    };
}

/// Every case of [`suite`](crate::suite) for one [`AdapterFixture`](crate::AdapterFixture), on
/// every backend of the build. Once in a module.
#[macro_export]
macro_rules! adapter_suite {
    ($fixture:ty) => {
        $crate::adapter_suite!(@cases $fixture:
            starts_as_the_base,
            acts,
            trains,
            gradients_are_finite_differences,
            paths_agree,
            forms_no_gradient_of_the_weights_shape,
            merges,
            a_merge_is_undone,
            refuses_to_merge,
            switches_off,
            waits_until_activated,
            composes_in_order,
            interpolates,
            names_are_whole,
            detaches,
            refuses_a_taken_name,
            refuses_what_cannot_be,
            records,
            trains_biases_beside_it,
            takes_half_precision,
            takes_a_packed_base,
            goes_where_it_is_sent,
            rows_are_independent,
            embeds,
            another_changes_nothing_that_trains,
            moves,
            rows_choose_their_adapter,
            replaces,
        );
    };
    (@cases $fixture:ty: $($case:ident),+ $(,)?) => {
        $(fn $case(device: &$crate::suite::Device) { $crate::suite::$case::<$fixture>(device); })+
        $crate::cases!($($case),+);
    };
}

/// Every case of [`model_suite`](mod@crate::model_suite) for one
/// [`ModelFixture`](crate::ModelFixture), on every backend of the build. Once in a module.
#[macro_export]
macro_rules! model_suite {
    ($fixture:ty) => {
        $crate::model_suite!(@cases $fixture:
            runs_in_stages,
            runs_at_chosen_positions,
            padding_changes_no_row,
            rows_are_independent,
            sequences_of_a_row_are_apart,
            sees_what_it_should,
            reads_in_parts,
            goes_on_from_given_keys,
            starts_from_embeddings,
            takes_a_prompt_for_tokens,
            its_head_reads_what_it_says,
            takes_lora_on_each_layer,
            reads_each_layer_factored,
            merges_lora,
            trains_the_adapters_alone,
            takes_copies_of_parameters,
            has_its_parameters_where_they_act,
            trains_its_top_layers,
            goes_on_from_kept_states,
            records,
            moves,
            takes_half_precision,
        );
    };
    (@cases $fixture:ty: $($case:ident),+ $(,)?) => {
        $(fn $case(device: &$crate::suite::Device) { $crate::model_suite::$case::<$fixture>(device); })+
        $crate::cases!($($case),+);
    };
}
