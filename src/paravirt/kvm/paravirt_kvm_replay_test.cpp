#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "paravirt/kvm/paravirt_kvm_fuzz.h"

namespace mynah {
namespace {

// The fuzz target on pseudo-random inputs, always the same ones.
TEST(ParavirtKvmReplay, AnyBytes) {
    std::minstd_rand random(1);
    for (unsigned turn = 0; turn < 300; ++turn) {
        std::vector<uint8_t> bytes(random() % 2000);
        for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random() >> 8);
        testing::fuzz_paravirt_kvm(bytes.data(), bytes.size());
    }
}

}  // namespace
}  // namespace mynah
