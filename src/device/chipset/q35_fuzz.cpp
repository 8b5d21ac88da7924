#include <cstddef>
#include <cstdint>
#include <span>

#include "device/chipset/q35_board_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    mynah::testing::drive_q35(std::span(data, size));
    return 0;
}
