"""Tiny random models and PEFT adapters with what transformers and PEFT compute for them. Run: python make_goldens.py [NAME ...]"""

import sys
import warnings

import transformers

import adapters
import allocated
import combined
import decoders
import encoders
import inits
import prefixes
import prompts

warnings.filterwarnings("ignore")
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

makers = [(decoders.make_model, decoders.MODELS), (encoders.make_model, encoders.MODELS), (adapters.make_adapter, adapters.ADAPTERS),
          (combined.make_combined, combined.COMBINED),
          (inits.make_init, inits.INITS), (inits.make_eva, inits.EVAS), (inits.make_loftq, inits.LOFTQ),
          (allocated.make_allocated, allocated.ALLOCATED),
          (prefixes.make_prefix, prefixes.PREFIXES), (prompts.make_prompt, prompts.PROMPTS)]
wanted = set(sys.argv[1:])
if unknown := wanted - {name for _, table in makers for name in table}:
    sys.exit(f"no golden is called {', '.join(sorted(unknown))}")
for make, table in makers:
    for name in table:
        if not wanted or name in wanted:
            make(name)
