#pragma once

#include <array>
#include <cstdint>

namespace mynah {

// What a key sends: its code in set 2, E0h before it where `extended`, and its code in set 3
// [PS/2 TRM, keyboard; MS scan codes].
struct ScanCode {
    uint8_t set2 = 0;  // 0: there is no such key on the keyboard
    bool extended = false;
    uint8_t set3 = 0;
};

// By Linux' number of the key (linux/input-event-codes.h).
ScanCode scan_code(uint16_t key);

// From set 2 to set 1, as the keyboard controller translates a single byte [MS scan codes,
// appendix].
uint8_t translate_to_set1(uint8_t set2);

}  // namespace mynah
