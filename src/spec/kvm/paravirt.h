#pragma once

// What KVM offers its guests beyond hardware, as Linux documents it for them [cpuid.rst],
// [msr.rst], [hypercalls.rst].

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace mynah::kvm_guest {

// --- CPUID: leaf 40000000h is the signature in EBX, ECX, EDX, leaf 40000001h the features.

inline constexpr std::string_view kSignature{"KVMKVMKVM\0\0\0", 12};
inline constexpr uint32_t kFeaturesLeaf = 0x40000001;

// Bits of EAX there. EDX holds hints, of which there is none here: processors share the host's.
namespace feature {
inline constexpr uint32_t kClockOld = 1u << 0,  // MSRs 11h and 12h
    kNoIoDelay = 1u << 1,                       // ports need no pause behind an access
    kClock = 1u << 3,                           // the MSRs of today
    kAsyncPageFault = 1u << 4, kStealTime = 1u << 5, kPvEoi = 1u << 6, kPvUnhalt = 1u << 7,
                          kPvTlbFlush = 1u << 9, kAsyncPageFaultExit = 1u << 10,
                          kPvSendIpi = 1u << 11, kPollControl = 1u << 12, kPvSchedYield = 1u << 13,
                          kAsyncPageFaultInterrupt = 1u << 14, kMsiExtendedDestination = 1u << 15,
                          kMapGpaRange = 1u << 16, kMigrationControl = 1u << 17,
                          kClockStable = 1u << 24;  // the clock's own flag can be relied upon
}  // namespace feature

// --- MSRs

namespace msr {
inline constexpr uint32_t kWallClockOld = 0x11, kSystemTimeOld = 0x12, kWallClock = 0x4b564d00,
                          kSystemTime = 0x4b564d01, kAsyncPageFault = 0x4b564d02,
                          kStealTime = 0x4b564d03, kPvEoi = 0x4b564d04, kPollControl = 0x4b564d05,
                          kAsyncPageFaultInterrupt = 0x4b564d06, kAsyncPageFaultAck = 0x4b564d07,
                          kMigrationControl = 0x4b564d08;
// Of system time, steal time and PV EOI; the other bits are an address.
inline constexpr uint64_t kEnabled = 1;
inline constexpr uint64_t kStealTimeReserved = 0x3e;  // bits 5 to 1
inline constexpr uint64_t kPvEoiReserved = 2;
}  // namespace msr

// --- Structures in guest memory

// MSR_KVM_WALL_CLOCK. An odd version: being written.
struct WallClock {
    uint32_t version, sec, nsec;
};
static_assert(sizeof(WallClock) == 12);

// MSR_KVM_SYSTEM_TIME: ns = system_time + ((tsc - tsc_timestamp) << shift) * mul >> 32, a negative
// shift to the right.
struct SystemTime {
    uint32_t version, pad0;
    uint64_t tsc_timestamp, system_time;
    uint32_t tsc_to_system_mul;
    int8_t tsc_shift;
    uint8_t flags;
    uint8_t pad[2];
};
static_assert(sizeof(SystemTime) == 32);
// Flags: what any processor reads is in order with what all others read; the host stopped the guest
// for a while (the guest clears it).
inline constexpr uint8_t kTscStable = 1, kGuestStopped = 2;

// MSR_KVM_STEAL_TIME.
struct StealTime {
    uint64_t steal;  // ns that the processor could have run and did not get to
    uint32_t version, flags;
    uint8_t preempted;
    uint8_t u8_pad[3];
    uint32_t pad[11];
};
static_assert(sizeof(StealTime) == 64);
// Bits of `preempted`: the processor does not run; its TLB is to be flushed before it does.
inline constexpr uint8_t kPreempted = 1, kFlushTlb = 2;

// The byte at MSR_KVM_PV_EOI_EN's address: set, the guest may clear it instead of writing EOI.
inline constexpr uint8_t kEoiPending = 1;

// KVM_HC_CLOCK_PAIRING.
struct ClockPairing {
    int64_t sec, nsec;
    uint64_t tsc;
    uint32_t flags;
    uint32_t pad[9];
};
static_assert(sizeof(ClockPairing) == 64);
inline constexpr uint64_t kClockPairingWallClock = 0;

// --- Hypercalls: number in RAX, arguments in RBX, RCX, RDX, RSI, the answer in RAX.

enum class Hypercall : uint64_t {
    kVapicPollIrq = 1,
    kKickCpu = 5,
    kClockPairing = 9,
    kSendIpi = 10,
    kSchedYield = 11,
};

inline constexpr int64_t kEperm = -1, kEfault = -14, kEinval = -22, kEopnotsupp = -95,
                         kEnosys = -1000;

// KVM_HC_SEND_IPI's last argument is a local APIC's interrupt command.
inline constexpr uint64_t kIcrVector = 0xff, kIcrMode = 0x700, kIcrShorthand = 0xc0000;
inline constexpr uint64_t kIcrFixed = 0, kIcrNmi = 0x400;

}  // namespace mynah::kvm_guest
