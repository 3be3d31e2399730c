from harness.testing.variants import VariantContract as VariantContract
