#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace mynah {

// What a monitor says about itself.
struct Monitor {
    uint16_t preferred_width = 1280, preferred_height = 800;  // even, at most 4095
    uint16_t dots_per_inch = 100;
    std::string name = "Mynah";  // at most 13 characters are told
};

// One block of EDID 1.4 [EDID 1.4 3]: a digital monitor whose preferred mode, at 60 pictures a
// second with reduced blanking [CVT 1.2], is the given one and which takes the usual smaller ones.
std::array<uint8_t, 128> make_edid(const Monitor& monitor);

}  // namespace mynah
