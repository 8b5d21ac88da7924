#pragma once

#include <cstdint>

#include "spec/x86/exception_vectors.h"

namespace mynah {

// An exception that an instruction raised.
struct Exception {
    x86::Vector vector = x86::Vector::kUd;
    bool has_error_code = false;
    uint32_t error_code = 0;
    uint64_t address = 0;  // #PF: what CR2 gets. #DB: bits to set in DR6

    static Exception de() { return {.vector = x86::Vector::kDe}; }
    static Exception ud() { return {.vector = x86::Vector::kUd}; }
    static Exception nm() { return {.vector = x86::Vector::kNm}; }
    static Exception gp(uint32_t code = 0) { return with_code(x86::Vector::kGp, code); }
    static Exception ss(uint32_t code = 0) { return with_code(x86::Vector::kSs, code); }
    static Exception np(uint32_t code) { return with_code(x86::Vector::kNp, code); }
    static Exception ts(uint32_t code) { return with_code(x86::Vector::kTs, code); }
    static Exception ac() { return with_code(x86::Vector::kAc, 0); }
    static Exception mf() { return {.vector = x86::Vector::kMf}; }
    static Exception xm() { return {.vector = x86::Vector::kXm}; }
    static Exception pf(uint64_t linear, uint32_t code) {
        Exception e = with_code(x86::Vector::kPf, code);
        e.address = linear;
        return e;
    }
    static Exception db(uint64_t dr6_bits) {
        return {.vector = x86::Vector::kDb, .address = dr6_bits};
    }
    static Exception with_code(x86::Vector vector, uint32_t code) {
        return {.vector = vector, .has_error_code = true, .error_code = code};
    }
};

}  // namespace mynah
