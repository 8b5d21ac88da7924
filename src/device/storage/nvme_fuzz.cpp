#include "device/storage/nvme_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    mynah::testing::ByteFeed feed(data, size);
    mynah::NvmeFuzzBoard board;
    board.run(feed);
    return 0;
}
