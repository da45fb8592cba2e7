from tests.bundles import bundle, clip, own_bundle, videos  # noqa: F401 - fixtures
from tests.frame_bundles import both_bundle, keypoint_bundle, siglip_folder  # noqa: F401 - fixtures
