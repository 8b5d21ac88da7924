#pragma once

#include <cstdint>

namespace mynah {

// As which the controller shows itself on the bus. Drivers go by the class; this pair is known as
// that of a virtual controller.
inline constexpr uint16_t kNvmeVendor = 0x1b36, kNvmeDevice = 0x0010;

}  // namespace mynah
