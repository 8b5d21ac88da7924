#include <cstddef>
#include <cstdint>
#include <span>

#include "device/input/ps2_board_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    mynah::testing::drive_ps2(std::span(data, size));
    return 0;
}
