#pragma once

#include <cstdint>

#include "isa/instruction.h"

namespace mynah::interpreter {

// What, besides its bytes, decides how code is decoded into ops. Part of a block's key.
struct CodeMode {
    CodeSize code_size = CodeSize::k16;
    CodeSize stack_size = CodeSize::k16;  // k64 in 64-bit mode, else SS.B
    bool protected_mode = false;          // not real and not virtual-8086

    uint8_t key() const {
        return static_cast<uint8_t>(static_cast<unsigned>(code_size) |
                                    static_cast<unsigned>(stack_size) << 2 |
                                    static_cast<unsigned>(protected_mode) << 4);
    }
};

}  // namespace mynah::interpreter
