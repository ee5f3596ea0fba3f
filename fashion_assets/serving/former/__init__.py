"""The calls of former systems' clients, answered over the live release: one file for each former API.

What belongs here: which paths, parameters, keys and oddities those clients know (`fashion_ecom`, `second_hand_v2`, `second_hand_v3`,
`prethrift`), what those read and how they write it (`stored`, `people`, `topics`, `shapes`), keeping what somebody likes (`liking`), and where they stand
beside our own API (`mounting`). What does not: finding anything (`search`), our own API (`serving.api`), who may ask.

Nothing here writes: a call that wrote in the former system answers 501, and says why.
"""
