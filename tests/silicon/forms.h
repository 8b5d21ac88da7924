#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cpu/cpuid_policy.h"
#include "isa/instruction.h"

namespace mynah::silicon {

// One way to encode one instruction, with registers, addresses and immediates left open.
struct Form {
    CodeSize mode = CodeSize::k64;
    ZydisMnemonic mnemonic = ZYDIS_MNEMONIC_INVALID;
    std::vector<uint8_t> prefixes;  // legacy ones that choose the instruction or its width
    bool wide = false;              // REX.W or VEX.W
    bool vex = false;
    bool vex_long = false;
    uint8_t vex_prefix = 0;  // VEX.pp
    uint8_t map = 0;         // 0: one-byte opcodes, 1: 0F, 2: 0F 38, 3: 0F 3A
    uint8_t opcode = 0;
    bool has_modrm = false;
    bool memory = false;     // ModRM.mod is not 3
    bool vector_index = false;  // a SIB byte is a must
    bool reg_open = false, rm_open = false, vvvv_open = false;
    uint8_t modrm = 0;       // the fields that are not open
};

// Every form of every instruction that this policy offers in 64- and 32-bit code, found by walking
// the decoder through prefixes, maps, opcodes and ModRM classes. Always in the same order.
std::vector<Form> enumerate_forms(const CpuidPolicy& policy);

// Why an instruction cannot be compared with the host, or null. Its being privileged is no
// reason: that both refuse it is compared.
const char* exclusion_reason(const Form& form);

}  // namespace mynah::silicon
