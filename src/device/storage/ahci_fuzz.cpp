#include "device/storage/ahci_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    mynah::testing::ByteFeed feed(data, size);
    mynah::AhciFuzzBoard board;
    board.run(feed);
    return 0;
}
