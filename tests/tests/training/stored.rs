//! Examples in a store: what is made of them is what is made of a slice, to the bit.

use burn::module::Module;
use burn::tensor::Device;
use peft_train::{
    ExampleStore, Examples, NextToken, Observer, Progress, StepReport, TrainError, TrainState,
    Trainer, evaluate, pack,
};

use super::{adapted, bits, config, examples};

peft_tests::cases!(a_run_on_a_store_has_the_bits_of_one_on_a_slice);

/// The state after the second step.
#[derive(Default)]
struct Second(Option<TrainState>);

impl<M: Module, R> Observer<M, R> for Second {
    fn on_step(
        &mut self,
        report: &StepReport,
        progress: &Progress<'_, M>,
    ) -> Result<(), TrainError> {
        if report.step == 2 {
            self.0 = Some(progress.state());
        }
        Ok(())
    }

    fn on_eval(&mut self, _: &R, _: bool, _: &Progress<'_, M>) -> Result<(), TrainError> {
        Ok(())
    }
}

fn a_run_on_a_store_has_the_bits_of_one_on_a_slice(device: &Device) {
    let (config, rows) = (config(2, 7), examples(9));
    let store = ExampleStore::of(rows.clone()).expect("they are kept");
    let model = adapted(device, 0.0);
    let run = |rows: Examples<'_, _>, state: Option<&TrainState>| {
        let mut second = Second::default();
        let trainer = Trainer::new(&config, rows).with_state(state);
        let trained = trainer.run(model.clone(), &NextToken, &mut second);
        (trained.expect("it trains"), second.0)
    };
    let (of_slice, state) = run((&rows).into(), None);
    let (of_store, state_of_store) = run(store.examples(), None);
    assert!(bits(&of_slice) == bits(&of_store));
    // A run goes on from the state of the other: their rows are the same.
    let (resumed, _) = run(store.examples(), state.as_ref());
    assert!(bits(&of_slice) == bits(&resumed));
    let (resumed, _) = run((&rows).into(), state_of_store.as_ref());
    assert!(bits(&of_slice) == bits(&resumed));

    let plain = of_slice.valid();
    let found = evaluate(&plain, &store, 3).expect("it evaluates");
    assert_eq!(found, evaluate(&plain, &rows, 3).expect("it evaluates"));
    let packed = store.packed(20).expect("they are kept").to_vec();
    assert!(packed.expect("they are read") == pack(&rows, 20));
}
