/* A hashed layer in the form of standard ONNX is trained as the HashedGemm it stands for: as entries of a codebook its
 * values and their negatives would part. */
#include "share/hashed/forms.h"
#include "train/train.h"

const skv_recast skv_recast_hashed = {
    .name = "hashed",
    .brief = "layers whose weights are places of a hash",
    .asked = skv_graph_tells_hashed,
    .to = skv_graph_to_hashed,
    .back = skv_hashed_assign,
};
