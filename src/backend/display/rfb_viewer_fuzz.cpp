#include "backend/display/rfb_viewer_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    mynah::testing::drive_rfb_viewer(std::span(data, size));
    return 0;
}
