#include <cstddef>
#include <cstdint>
#include <span>

#include "device/network/network_board_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    mynah::testing::drive_rtl8139(std::span(data, size));
    return 0;
}
