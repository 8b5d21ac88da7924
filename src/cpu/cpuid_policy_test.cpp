#include "cpu/cpuid_policy.h"

#include <cpuid.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cpu/cpu_choice.h"
#include "cpu/cpuid_models.h"
#include "spec/x86/control_registers.h"

namespace mynah {
namespace {

constexpr uint64_t kTscHz = 2'500'000'000;
constexpr CpuidPolicy::Dynamic kPlain{
    .apic_id = 0, .osxsave = false, .apic_enabled = true, .xcr0 = 1};

CpuidPolicy make(std::string_view text, CpuTopology topology = {}, uint64_t tsc_hz = kTscHz) {
    auto result = CpuidPolicy::create(text, topology, tsc_hz);
    EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message());
    return result.take_value();
}
std::string refusal(std::string_view text) {
    auto result = CpuidPolicy::create(text, {}, kTscHz);
    EXPECT_FALSE(result.ok()) << text;
    return result.ok() ? "" : result.error().message();
}

TEST(CpuidPolicy, EveryModelCanBeMadeAndNamesKnownFeatures) {
    for (const std::string& name : CpuidPolicy::model_names()) {
        const CpuidPolicy policy = make(name);
        EXPECT_TRUE(policy.has("lm")) << name;
        EXPECT_TRUE(policy.has("sse2")) << name;
        EXPECT_EQ(policy.query(1, 0, kPlain).eax, policy.signature()) << name;
    }
}

TEST(CpuidPolicy, ModelsAddUp) {
    EXPECT_FALSE(make("x86-64-v1").has("ssse3"));
    EXPECT_FALSE(make("Nehalem").has("avx"));
    EXPECT_EQ(make("x86-64-v2").has("sse4.2"), contains(host_features(), "sse4.2"));
    EXPECT_EQ(make("Haswell").has("avx2"), contains(host_features(), "avx2"));
}

TEST(CpuidPolicy, WhatTheHostLacksIsNotOffered) {
    const CpuidPolicy policy = make("max");
    for (const Feature& feature : known_features()) {
        if (!policy.has(feature.name)) continue;
        EXPECT_NE(feature.needs, FeatureNeeds::kAbsent) << feature.name;
        if (feature.needs == FeatureNeeds::kHost) {
            EXPECT_TRUE(contains(host_features(), feature)) << feature.name;
        }
    }
    EXPECT_FALSE(policy.has("avx512f"));
    EXPECT_FALSE(policy.has("monitor")) << "only on request";
    EXPECT_TRUE(make("max,+monitor").has("monitor"));
    EXPECT_FALSE(policy.has("vmx"));
}

TEST(CpuidPolicy, UnknownNamesGetTheNearestOne) {
    EXPECT_THAT(refusal("Hasvell"), testing::HasSubstr("'Haswell'"));
    EXPECT_THAT(refusal("max,+avx3"), testing::HasSubstr("'avx"));
    EXPECT_THAT(refusal("max,avx2"), testing::HasSubstr("+feature"));
    EXPECT_THAT(refusal("max,avx2=maybe"), testing::HasSubstr("feature=on"));
    EXPECT_THAT(refusal("max,avx9=off"), testing::HasSubstr("unknown feature 'avx9'"));
    EXPECT_THAT(refusal("max,+avx512f"), testing::HasSubstr("engine does not implement"));
    EXPECT_THAT(refusal(""), testing::HasSubstr("unknown model"));
    EXPECT_THAT(refusal("max,+"), testing::HasSubstr("+feature"));
}

TEST(CpuidPolicy, WhatAModelLacksHereIsNamed) {
    const std::string lacks = who_lacks(make("Skylake-Server").choice().lacking);
    EXPECT_THAT(lacks, testing::HasSubstr("avx512f, "));
    EXPECT_THAT(lacks, testing::HasSubstr("rtm"));
    EXPECT_THAT(lacks, testing::HasSubstr("the engine does not implement them"));
    EXPECT_THAT(refusal("Skylake-Server,enforce"), testing::HasSubstr("Skylake-Server lacks "));
    EXPECT_THAT(who_lacks(make("Skylake-Server-noTSX-IBRS").choice().lacking),
                testing::Not(testing::HasSubstr("rtm")));
    // What is not asked for is not missed, nor what builds on it.
    EXPECT_THAT(who_lacks(make("Skylake-Server,avx512f=off").choice().lacking),
                testing::Not(testing::HasSubstr("avx512")));
    EXPECT_EQ(who_lacks(make("max").choice().lacking), "");
    EXPECT_EQ(who_lacks(make("Nehalem,-pni").choice().lacking), "");
    if (contains(host_features(), "sse4.2")) {
        EXPECT_EQ(who_lacks(make("x86-64-v2,enforce").choice().lacking), "");
    }
}

TEST(CpuidPolicy, SwitchesAreReadInEveryUsualWay) {
    EXPECT_FALSE(make("max,smap=off").has("smap"));
    EXPECT_TRUE(make("max,-smap,smap=on,check").has("smap"));
    EXPECT_FALSE(make("haswell-NOTSX,-smep").has("smep"));
    EXPECT_THAT(refusal("noTSX"), testing::HasSubstr("unknown model"));
}

TEST(CpuidPolicy, HostIsWhatItSaysOnIntelsProcessors) {
    uint32_t a = 0, b = 0, c = 0, d = 0;
    ASSERT_NE(__get_cpuid(0, &a, &b, &c, &d), 0);
    const bool intel = b == signature_INTEL_ebx;
    ASSERT_NE(__get_cpuid(1, &a, &b, &c, &d), 0);
    EXPECT_EQ(make("host").signature() == a, intel || make("max").signature() == a);
    EXPECT_EQ(make("host").has("avx2"), make("max").has("avx2"));
}

TEST(CpuidPolicy, TakingAFeatureAwayTakesItsDependants) {
    const CpuidPolicy policy = make("max,-xsave");
    for (const char* name : {"xsave", "avx", "avx2", "fma", "bmi1", "f16c", "xsaveopt", "xsavec"}) {
        EXPECT_FALSE(policy.has(name)) << name;
    }
    EXPECT_EQ(policy.valid_xcr0(), 1u);
    EXPECT_EQ(policy.valid_cr4() & x86::cr4::kOsxsave, 0u);
    EXPECT_THAT(refusal("max,-pcid,+invpcid"), testing::HasSubstr("invpcid"));
    EXPECT_TRUE(make("max,-smap,+smap").has("smap"));
}

TEST(CpuidPolicy, UsualSpellingsAreUnderstood) {
    for (const char* name : {"lzcnt", "sse4_1", "SSE4.1", "sse4-1", "sha", "xd", "nonstop_tsc"}) {
        EXPECT_NE(find_feature(name), nullptr) << name;
    }
    EXPECT_EQ(find_feature("sse3"), find_feature("pni"));
}

TEST(CpuidPolicy, VendorBrandAndRanges) {
    const CpuidPolicy policy = make("max");
    const CpuidLeaf leaf0 = policy.query(0, 0, kPlain);
    EXPECT_EQ(leaf0.eax, 0x1fu);
    EXPECT_EQ(leaf0.ebx, 0x756e6547u);
    EXPECT_EQ(leaf0.edx, 0x49656e69u);
    EXPECT_EQ(leaf0.ecx, 0x6c65746eu);
    EXPECT_EQ(policy.query(0x80000000, 0, kPlain).eax, 0x80000008u);
    EXPECT_EQ(policy.query(0x80000002, 0, kPlain).eax, 0x616e794du);  // "Myna"
    EXPECT_EQ(policy.query(0x80000008, 0, kPlain).eax, 46u | 48u << 8);
    // Beyond the ranges the highest basic leaf answers.
    EXPECT_EQ(policy.query(0x20, 1, kPlain).ecx, policy.query(0x1f, 1, kPlain).ecx);
    EXPECT_EQ(policy.query(0x80000009, 1, kPlain).ecx, policy.query(0x1f, 1, kPlain).ecx);
    EXPECT_EQ(policy.query(0x40000005, 0, kPlain).eax, 0u);
}

TEST(CpuidPolicy, DynamicBitsMirrorTheProcessor) {
    const CpuidPolicy policy = make("max");
    CpuidPolicy::Dynamic dynamic = kPlain;
    EXPECT_EQ(policy.query(1, 0, dynamic).ecx & 1u << 27, 0u);
    EXPECT_NE(policy.query(1, 0, dynamic).edx & 1u << 9, 0u);
    dynamic = {.apic_id = 5, .osxsave = true, .apic_enabled = false, .xcr0 = 7};
    EXPECT_NE(policy.query(1, 0, dynamic).ecx & 1u << 27, 0u);
    EXPECT_EQ(policy.query(1, 0, dynamic).edx & 1u << 9, 0u);
    EXPECT_EQ(policy.query(1, 0, dynamic).ebx >> 24, 5u);
    EXPECT_EQ(policy.query(0xb, 0, dynamic).edx, 5u);
    if (policy.has("avx")) {
        EXPECT_EQ(policy.query(0xd, 0, dynamic).ebx, 832u);
        EXPECT_EQ(policy.query(0xd, 0, kPlain).ebx, 576u);
        EXPECT_EQ(policy.query(0xd, 0, kPlain).ecx, 832u);
        EXPECT_EQ(policy.query(0xd, 2, kPlain).eax, 256u);
    }
}

TEST(CpuidPolicy, TopologyFieldsArePadded) {
    const CpuidPolicy policy = make("max", {.sockets = 2, .cores = 3, .threads = 2});
    EXPECT_EQ(policy.apic_id(0), 0u);
    EXPECT_EQ(policy.apic_id(1), 1u);
    EXPECT_EQ(policy.apic_id(2), 2u);
    EXPECT_EQ(policy.apic_id(5), 5u);
    EXPECT_EQ(policy.apic_id(6), 8u);
    const CpuidLeaf threads = policy.query(0xb, 0, kPlain), cores = policy.query(0xb, 1, kPlain),
                    end = policy.query(0xb, 2, kPlain);
    EXPECT_EQ(threads.eax, 1u);
    EXPECT_EQ(threads.ebx, 2u);
    EXPECT_EQ(threads.ecx, 0x100u);
    EXPECT_EQ(cores.eax, 3u);
    EXPECT_EQ(cores.ebx, 6u);
    EXPECT_EQ(cores.ecx, 0x201u);
    EXPECT_EQ(end.ebx, 0u);
    EXPECT_EQ(end.ecx, 2u);
    EXPECT_EQ(policy.query(1, 0, kPlain).ebx >> 16 & 0xff, 8u);
    EXPECT_NE(policy.query(1, 0, kPlain).edx & 1u << 28, 0u);
    EXPECT_EQ(make("max").query(1, 0, kPlain).edx & 1u << 28, 0u);
}

// As Linux computes it: 32-bit arithmetic, kHz.
uint32_t linux_tsc_khz(const CpuidLeaf& leaf) { return leaf.ecx / 1000 * leaf.ebx / leaf.eax; }

TEST(CpuidPolicy, LeafFifteenTellsTheTscWithinTwoMillionths) {
    for (uint64_t hz : {1'000'000'000ull, 2'500'000'000ull, 2'494'141'000ull, 2'099'998'000ull,
                        2'593'907'000ull, 3'699'997'123ull, 800'000'123ull, 5'000'000'001ull}) {
        const CpuidPolicy policy = make("max", {}, hz);
        const CpuidLeaf leaf = policy.query(0x15, 0, kPlain);
        EXPECT_EQ(leaf.ecx, policy.apic_timer_hz());
        EXPECT_LT(uint64_t{leaf.ecx} / 1000 * leaf.ebx, uint64_t{1} << 32) << hz;
        const double error =
            static_cast<double>(linux_tsc_khz(leaf)) - static_cast<double>(hz / 1000);
        EXPECT_LE(std::abs(error), std::max(1.0, static_cast<double>(hz) * 2e-9)) << hz;
    }
}

TEST(CpuidPolicy, SubleavesOfCachesEnd) {
    const CpuidPolicy policy = make("max");
    EXPECT_EQ(policy.query(4, 0, kPlain).eax & 0x1f, 1u);
    EXPECT_EQ(policy.query(4, 3, kPlain).eax & 0x1f, 3u);
    EXPECT_EQ(policy.query(4, 4, kPlain).eax & 0x1f, 0u);
    const CpuidLeaf l1 = policy.query(4, 0, kPlain);
    EXPECT_EQ(((l1.ebx >> 22) + 1) * ((l1.ebx & 0xfff) + 1) * (l1.ecx + 1), 32768u);
}

TEST(CpuidPolicy, ControlRegisterBitsFollowTheFeatures) {
    const CpuidPolicy policy = make("max");
    EXPECT_NE(policy.valid_cr4() & x86::cr4::kSmap, 0u);
    EXPECT_EQ(policy.valid_cr4() & (x86::cr4::kLa57 | x86::cr4::kVmxe | x86::cr4::kPke), 0u);
    EXPECT_EQ(make("max,-smep").valid_cr4() & x86::cr4::kSmep, 0u);
    EXPECT_EQ(make("max,-nx").valid_efer() & x86::efer::kNxe, 0u);
}

TEST(CpuidPolicy, PhysicalBitsCanBeLimited) {
    CpuidPolicy policy = CpuidPolicy::create("max", {}, 1'000'000'000).take_value();
    const CpuidPolicy::Dynamic dynamic{};
    const uint32_t before = policy.query(0x80000008, 0, dynamic).eax;
    policy.limit_physical_bits(40);
    EXPECT_EQ(policy.physical_bits(), 40u);
    EXPECT_EQ(policy.query(0x80000008, 0, dynamic).eax, (before & ~0xffu) | 40);
    policy.limit_physical_bits(46);
    EXPECT_EQ(policy.physical_bits(), 40u);
}

TEST(CpuidPolicy, ShowsAHypervisorWithItsOwnLeaves) {
    auto policy = CpuidPolicy::create("max", {}, 2'000'000'000).take_value();
    policy.present_hypervisor("abcdefghijkl", {{0x40000001, {.eax = 5, .edx = 7}}});
    const CpuidPolicy::Dynamic dynamic{};
    const CpuidLeaf first = policy.query(0x40000000, 0, dynamic);
    EXPECT_EQ(first.ebx, 0x64636261u);
    EXPECT_EQ(first.ecx, 0x68676665u);
    EXPECT_EQ(first.edx, 0x6c6b6a69u);
    EXPECT_EQ(policy.query(0x40000001, 0, dynamic).eax, 5u);
    EXPECT_EQ(policy.query(0x40000001, 0, dynamic).edx, 7u);
    EXPECT_EQ(policy.query(0x40000010, 0, dynamic).eax, 2'000'000u) << "frequencies stay";
    policy.present_hypervisor("abcdefghijkl", {{0x40000001, {.eax = 4}}});
    EXPECT_EQ(policy.query(0x40000001, 0, dynamic).eax, 4u);
    EXPECT_EQ(policy.query(0x40000001, 0, dynamic).edx, 0u);
}

}  // namespace
}  // namespace mynah
