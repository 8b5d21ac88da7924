#pragma once

namespace mynah {

// Prints the place and the condition and aborts.
[[noreturn]] void check_failed(const char* file, int line, const char* condition);

}  // namespace mynah

// An invariant of our own. Never on anything a guest, an image, a peer or the operator controls.
#define CHECK(condition)                                                        \
    do {                                                                        \
        if (!(condition)) [[unlikely]]                                          \
            ::mynah::check_failed(__FILE__, __LINE__, #condition);              \
    } while (false)
