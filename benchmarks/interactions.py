"""Whether `whyclip.interaction` adds up, points at the right things, and at what cost.

    python -m benchmarks.interactions            # measure, print and keep
    python -m benchmarks.interactions --part cost

Criteria, written before the first run. Scenes with 2 to 4 objects from seeds that nothing else in
this repository uses, `mini`, readout paths on both encoders; each scene's caption is "A and B",
two of its objects by their phrases.

- whole: |sum of the table − score|, the worst of all scenes. At most 1e-5.
- share: sum of the word × patch cells divided by the score, mean over scenes. At least 0.65.
- nouns positive: share of nouns in the image with a positive sum over all patches. At least 0.95.
- pointing: share of nouns whose strongest patch (its centre) lies in the object's box. At least
  0.95.
- average precision: of the noun's map, upsampled bilinearly, for the object's visible pixels, mean
  over nouns. At least 0.90.
- r: Pearson correlation over (noun, object) pairs of all scenes between the sum of the noun's map
  in the object's box and the re-rendered second difference S(image, prompt) − S(image without the
  object, prompt) − S(image, prompt without the noun) + S(without both). At least 0.88.
- cost: time of one interaction divided by that of one forward pass (`encode_image` and
  `encode_text` of one image and one prompt) of a ViT-B/16 with random weights, median. At most 2.5.

Today's Jacobians (`first_order`) and direct contributions are measured on the same scenes.
"""
