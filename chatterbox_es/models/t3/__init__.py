"""Resemble AI's Chatterbox: text and a voice to speech tokens (T3), and speech tokens to sound.

    tokens        written Spanish to ids of Chatterbox's vocabulary; dialect tags
    codec         recordings to speech tokens and speaker embeddings, speech tokens to sound: Resemble's own networks
    preparation   a prepared corpus to tokens, which a token_set opens
    references    recordings of the voices, which checkpoints hold
    prompts       which other clip of a speaker an utterance is conditioned on
    batches       utterances side by side
    conditioning  speaker, prompt and emotion to the first positions of the sequence
    network       T3: a Llama over conditions, text and speech
    loss          what is minimised
    lora, phases  what a phase trains
    memory, cost  what a step takes, what a run costs
    validation    metrics of held-out utterances; samples says some of them
    checkpoint    what a run keeps, and what it takes to build the model again
    generation    text to speech tokens; voice makes sound of them
    weights       files that Resemble's package reads and writes; published writes a checkpoint in that form
    recipe        all of this as the commands know it

Needs the extra ``chatterbox`` (transformers, peft, tokenizers); sound needs Resemble's package, see docs/chatterbox.md.
"""
