#pragma once

#include <cstdint>

namespace mynah {

// The key of a US keyboard that makes an X11 keysym, with or without Shift; 0: there is none. In
// Linux' numbers.
uint16_t key_of_symbol(uint32_t keysym);

// True for what that key makes only with Shift.
bool needs_shift(uint32_t keysym);

// The key with a code of set 1, E0h before it told by bit 7, as viewers send them that know QEMU's
// extended key event [rfbproto 7.5.7]; 0: there is none.
uint16_t key_of_set1_code(uint32_t code);

}  // namespace mynah
