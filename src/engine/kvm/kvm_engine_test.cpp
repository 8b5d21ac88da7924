// The KVM engine on a kernel that a script plays: every exit and every refusal.

#include <cstring>

#include "engine/kvm/kvm_fixture_test.h"

namespace mynah {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(KvmTest, SaysWhatTheHostLacks) {
    EXPECT_EQ(refusal(), "");
    kernel_.node("/dev/kvm", -EACCES);
    EXPECT_THAT(refusal(), HasSubstr("/dev/kvm: Permission denied"));
    kernel_.node("/dev/kvm", -ENOENT);
    EXPECT_THAT(refusal(), HasSubstr("/dev/kvm: No such file"));
    kernel_.node("/dev/kvm");
    kernel_.on(KVM_GET_API_VERSION, 11);
    EXPECT_THAT(refusal(), HasSubstr("version 11"));
    kernel_.on(KVM_GET_API_VERSION, KVM_API_VERSION);
    kernel_.missing = KVM_CAP_X86_MSR_FILTER;
    EXPECT_THAT(refusal(), HasSubstr("KVM_CAP_X86_MSR_FILTER"));
    kernel_.missing = -1;
    EXPECT_THAT(refusal({.sockets = 1, .cores = 3, .threads = 1}),
                HasSubstr("at most 2 processors a machine, not 3"));
}

TEST_F(KvmTest, EveryRequestThatFailsIsNamedAndNothingStaysOpen) {
    const std::pair<unsigned long, const char*> requests[] = {
        {KVM_CREATE_VM, "KVM_CREATE_VM"},
        {KVM_GET_VCPU_MMAP_SIZE, "KVM_GET_VCPU_MMAP_SIZE"},
        {KVM_ENABLE_CAP, "KVM_ENABLE_CAP"},
        {KVM_X86_SET_MSR_FILTER, "KVM_X86_SET_MSR_FILTER"},
        {KVM_SET_USER_MEMORY_REGION, "KVM_SET_USER_MEMORY_REGION"},
        {KVM_CREATE_VCPU, "KVM_CREATE_VCPU"},
        {kvm::kGetSupportedCpuid, "KVM_GET_SUPPORTED_CPUID"},
        {kvm::kSetCpuid2, "KVM_SET_CPUID2"},
        {KVM_GET_SREGS, "KVM_GET_SREGS"}};
    for (const auto& [request, name] : requests) {
        Kernel kernel;
        kernel.on(request, -ENOMEM);
        auto engine = make_kvm(*memory_, cpuid_, options_, kernel);
        ASSERT_FALSE(engine.ok()) << name;
        EXPECT_THAT(engine.error().message(), HasSubstr(name));
        EXPECT_THAT(engine.error().message(), HasSubstr("Cannot allocate memory"));
        EXPECT_TRUE(kernel.open_fds().empty()) << name;
    }
}

TEST_F(KvmTest, PortsAndMemory) {
    const auto in = [](kvm_run& run) {
        run.exit_reason = KVM_EXIT_IO;
        run.io = {.direction = KVM_EXIT_IO_IN, .size = 2, .port = 0x60, .count = 2,
                  .data_offset = 4096};
        return 0;
    };
    const auto out = [](kvm_run& run) {
        // What was read has been filled in.
        uint16_t got[2];
        std::memcpy(got, reinterpret_cast<std::byte*>(&run) + 4096, sizeof got);
        EXPECT_EQ(got[0], 0x5678);
        EXPECT_EQ(got[1], 0x5678);
        run.exit_reason = KVM_EXIT_IO;
        run.io = {.direction = KVM_EXIT_IO_OUT, .size = 1, .port = 0x80, .count = 1,
                  .data_offset = 4096};
        *(reinterpret_cast<uint8_t*>(&run) + 4096) = 0xab;
        return 0;
    };
    const auto read = [](kvm_run& run) {
        run.exit_reason = KVM_EXIT_MMIO;
        run.mmio = {.phys_addr = 0xfee00020, .data = {}, .len = 4, .is_write = 0};
        return 0;
    };
    const auto write = [](kvm_run& run) {
        uint32_t got;
        std::memcpy(&got, run.mmio.data, sizeof got);
        EXPECT_EQ(got, 0x55667788u);
        run.mmio = {.phys_addr = 0xe0000000, .data = {1, 2, 3}, .len = 3, .is_write = 1};
        run.exit_reason = KVM_EXIT_MMIO;
        return 0;
    };
    EXPECT_EQ(run({in, out, read, write}), VcpuExit::kHalted);
    EXPECT_TRUE(vcpu_->state().halted);
    EXPECT_THAT(ports_.seen,
                ElementsAre(Ports::Access{'i', 0x60, 2, 0}, Ports::Access{'i', 0x60, 2, 0},
                            Ports::Access{'o', 0x80, 1, 0xab},
                            Ports::Access{'r', 0xfee00020, 4, 0},
                            Ports::Access{'w', 0xe0000000, 1, 1},
                            Ports::Access{'w', 0xe0000001, 1, 2},
                            Ports::Access{'w', 0xe0000002, 1, 3}));
}

TEST_F(KvmTest, RegistersThatAreTheMachines) {
    const auto access = [](uint32_t reason, uint32_t index, uint64_t data) {
        return [=](kvm_run& run) {
            run.exit_reason = reason;
            run.msr.index = index;
            run.msr.data = data;
            run.msr.error = 7;
            return 0;
        };
    };
    const auto expect = [](uint8_t error, uint64_t data, Kernel::Step then) {
        return [=](kvm_run& run) {
            EXPECT_EQ(run.msr.error, error);
            if (data != 0) {
            EXPECT_EQ(run.msr.data, data);
        }
            return then(run);
        };
    };
    const auto read = access(KVM_EXIT_X86_RDMSR, x86::msr::kApicBase, 0);
    const auto unknown = access(KVM_EXIT_X86_RDMSR, 0x12345, 0);
    const auto write = access(KVM_EXIT_X86_WRMSR, x86::msr::kMtrrDefType, 0xc06);
    const auto refused = access(KVM_EXIT_X86_WRMSR, x86::msr::kMtrrDefType, ~uint64_t{0});
    EXPECT_EQ(run({read, expect(0, 0xfee00900, unknown), expect(1, 0, write),
                   expect(0, 0, refused), expect(1, 0, exits(KVM_EXIT_HLT))}),
              VcpuExit::kHalted);
    EXPECT_EQ(vcpu_->state().mtrr_def_type, 0xc06u);
}

TEST_F(KvmTest, TheTimeStampMovesByTheGuestsWrites) {
    make();
    EXPECT_EQ(run({}), VcpuExit::kHalted);
    const unsigned before = kernel_.count(KVM_SET_DEVICE_ATTR);
    EXPECT_EQ(run({}), VcpuExit::kHalted);
    EXPECT_EQ(kernel_.count(KVM_SET_DEVICE_ATTR), before);
    const uint64_t offset = vcpu_->state().tsc_offset;
    EXPECT_EQ(run({[](kvm_run& run) {
                  run.exit_reason = KVM_EXIT_X86_WRMSR;
                  run.msr.index = x86::msr::kTscAdjust;
                  run.msr.data = 1000;
                  return 0;
              }}),
              VcpuExit::kHalted);
    EXPECT_EQ(vcpu_->state().tsc_offset, offset + 1000);
    EXPECT_EQ(kernel_.count(KVM_SET_DEVICE_ATTR), before + 1);
}

TEST_F(KvmTest, InterruptsGoInWhenTheGuestTakesThem) {
    make();
    signals_.raise(CpuSignals::kInterrupt);
    const auto window = [](kvm_run& run) {
        run.exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
        run.ready_for_interrupt_injection = 1;
        return 0;
    };
    EXPECT_EQ(run({exits(KVM_EXIT_INTR), window}), VcpuExit::kHalted);
    EXPECT_THAT(kernel_.injected, ElementsAre(0x31u));
    // Asked for while the guest took none, and not after it was delivered.
    EXPECT_THAT(kernel_.windows, ElementsAre(true, true, false));
}

// KVM forgets an interrupt that was handed to it when completing the access raises an exception.
TEST_F(KvmTest, NoInterruptGoesInBeforeAnAccessIsCompleted) {
    make();
    const auto refused = [this](kvm_run& run) {
        run.exit_reason = KVM_EXIT_X86_RDMSR;
        run.msr.index = 0x12345;
        run.ready_for_interrupt_injection = 1;
        signals_.raise(CpuSignals::kInterrupt);
        return 0;
    };
    const auto window = [this](kvm_run& run) {
        EXPECT_EQ(run.msr.error, 1);
        EXPECT_THAT(kernel_.injected, ElementsAre());
        run.exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
        run.ready_for_interrupt_injection = 1;
        return 0;
    };
    EXPECT_EQ(run({refused, window}), VcpuExit::kHalted);
    EXPECT_THAT(kernel_.injected, ElementsAre(0x31u));
    EXPECT_THAT(kernel_.windows, ElementsAre(false, true, false));
}

TEST_F(KvmTest, TaskPriorityIsTheLocalApics) {
    ports_.cr8 = 3;
    EXPECT_EQ(run({[](kvm_run& run) {
                  EXPECT_EQ(run.cr8, 3u);
                  run.cr8 = 5;
                  run.exit_reason = KVM_EXIT_SET_TPR;
                  return 0;
              }}),
              VcpuExit::kHalted);
    EXPECT_EQ(ports_.cr8, 5);
}

TEST_F(KvmTest, OtherSignals) {
    make();
    signals_.raise(CpuSignals::kNmi | CpuSignals::kSmi);
    EXPECT_EQ(run({}), VcpuExit::kHalted);
    EXPECT_EQ(kernel_.count(KVM_NMI), 1u);
    EXPECT_EQ(kernel_.count(KVM_SMI), 1u);
    signals_.raise(CpuSignals::kKick);
    EXPECT_EQ(run({}), VcpuExit::kKicked);
    signals_.raise(CpuSignals::kInit);
    EXPECT_EQ(run({}), VcpuExit::kInit);
    EXPECT_EQ(signals_.pending(), 0u);
}

// A kick in the middle of an access: KVM completes it before the state is looked at.
TEST_F(KvmTest, AnAccessIsCompletedBeforeLeaving) {
    const auto read = [this](kvm_run& run) {
        run.exit_reason = KVM_EXIT_MMIO;
        run.mmio = {.phys_addr = 0xfee00020, .data = {}, .len = 4, .is_write = 0};
        signals_.raise(CpuSignals::kKick);
        return 0;
    };
    EXPECT_EQ(run({read, exits(KVM_EXIT_SHUTDOWN)}), VcpuExit::kKicked);
    EXPECT_EQ(kernel_.runs, 2u);
    EXPECT_EQ(kernel_.script.size(), 1u) << "the guest went on";
}

TEST_F(KvmTest, TheEnd) {
    EXPECT_EQ(run({exits(KVM_EXIT_SHUTDOWN)}), VcpuExit::kShutdown);
    EXPECT_EQ(run({exits(KVM_EXIT_HYPERCALL)}), VcpuExit::kEngineError);
    EXPECT_EQ(run({exits(KVM_EXIT_FAIL_ENTRY)}), VcpuExit::kEngineError);
    EXPECT_EQ(run({exits(KVM_EXIT_INTERNAL_ERROR)}), VcpuExit::kEngineError);
    EXPECT_EQ(run({[](kvm_run&) { return -EFAULT; }}), VcpuExit::kEngineError);
    // Interrupted by a signal: goes on.
    EXPECT_EQ(run({[](kvm_run&) { return -EINTR; }, [](kvm_run&) { return -EAGAIN; }}),
              VcpuExit::kHalted);
}

TEST_F(KvmTest, FailuresInWords) {
    kvm_run run{};
    const auto words = [&run](const CpuState& state = reset_state()) {
        std::string text;
        for (const std::string& line : kvm::describe_failure(run, state, 46)) text += line + "\n";
        return text;
    };
    run.exit_reason = KVM_EXIT_FAIL_ENTRY;
    run.fail_entry.hardware_entry_failure_reason = 0x80000021;
    EXPECT_THAT(words(), HasSubstr("a check of the guest's state"));
    EXPECT_THAT(words(), HasSubstr("failed check: none that can be made from here"));
    CpuState bad = reset_state();
    bad.tr.attributes = 0x89;
    EXPECT_THAT(words(bad), HasSubstr("failed check: TR (selector 0x0, base 0x0, limit 0xffff, "
                                      "access rights 0x89): the type must be 11"));
    run.fail_entry.hardware_entry_failure_reason = ~uint64_t{0};
    EXPECT_THAT(words(), HasSubstr("VMEXIT_INVALID"));
    bad.cr0 = x86::cr0::kNw;
    EXPECT_THAT(words(bad), HasSubstr("failed check: CR0 is 0x20000000: NW must be 0 where CD is 0"));
    run.exit_reason = KVM_EXIT_INTERNAL_ERROR;
    run.internal.suberror = 1;
    run.internal.ndata = 1;
    run.internal.data[0] = 0xbeef;
    EXPECT_THAT(words(), HasSubstr("cannot emulate the guest's instruction 0xbeef"));
    // With the instruction's bytes [api.rst, KVM_INTERNAL_ERROR_EMULATION].
    run.internal.ndata = 3;
    run.internal.data[0] = 1;
    const uint8_t bytes[]{3, 0x0f, 0x01, 0xd9, 0, 0, 0, 0};
    std::memcpy(&run.internal.data[1], bytes, sizeof bytes);
    EXPECT_THAT(words(), HasSubstr("at rip 0xfff0, its bytes 0f 01 d9 (vmmcall)"));
    run.internal.data[1] |= 0xff;  // more bytes than there is room for
    EXPECT_THAT(words(), HasSubstr("its bytes 0f 01 d9 00"));
}

TEST_F(KvmTest, MemorySlotsFollowTheMap) {
    make();
    EXPECT_EQ(run({}), VcpuExit::kHalted);
    kernel_.regions.clear();
    const auto block = memory_->take_block(2 * kPageSize);
    memory_->set_overlay(memory_->take_overlay(), {.start = GuestPhys(0x10000),
                                                   .size = 2 * kPageSize,
                                                   .kind = MemoryOverlay::Kind::kReadOnly,
                                                   .offset = block.offset});
    signals_.raise(CpuSignals::kMemoryMap);
    EXPECT_EQ(run({}), VcpuExit::kHalted);
    // The one slot goes; before, the new one, and behind. The other view has the same again.
    std::vector<std::tuple<uint64_t, uint64_t, bool>> normal;
    for (const auto& region : kernel_.regions) {
        if (region.slot >> 16 != 0) continue;
        normal.emplace_back(region.guest_phys_addr, region.memory_size,
                            (region.flags & KVM_MEM_READONLY) != 0);
    }
    EXPECT_THAT(normal, ::testing::UnorderedElementsAre(
                            std::tuple(0u, 0u, false), std::tuple(0u, 0x10000u, false),
                            std::tuple(0x10000u, 0x2000u, true),
                            std::tuple(0x12000u, kMemory - 0x12000, false)));
    kernel_.on(KVM_SET_USER_MEMORY_REGION, -EEXIST);
    memory_->set_overlay(memory_->take_overlay(), {.start = GuestPhys(0x20000),
                                                   .size = kPageSize,
                                                   .kind = MemoryOverlay::Kind::kHole});
    signals_.raise(CpuSignals::kMemoryMap);
    EXPECT_EQ(run({}), VcpuExit::kEngineError);
}

TEST(KvmRegisters, ThereAndBack) {
    CpuState state = reset_state();
    for (unsigned i = 0; i < 16; ++i) state.gpr[i] = uint64_t{0x1111111111111111} * i + 1;
    state.rip = 0xffffffff81000000;
    state.flags.set(0x40246);
    for (unsigned i = 0; i < 6; ++i) {
        state.segments[i] = {.base = 0x1000 * i, .limit = 0xfffff, .attributes = 0xa09b,
                             .selector = static_cast<uint16_t>(8 * i)};
    }
    state.segments[3].attributes |= x86::segment_attribute::kUnusable;
    state.gdtr = {.base = 0xfffffe0000001000, .limit = 0x7f};
    state.cr0 = 0x80050033;
    state.cr2 = 0x1234;
    state.cr3 = 0x5000;
    state.cr4 = 0x3506f0;
    state.efer = 0xd01;
    state.xcr0 = 7;
    state.dr = {1, 2, 3, 4};
    state.dr7 = 0x401;
    state.x87.fsw = 0x3800;  // top: 7
    state.x87.tags = 0x81;
    state.x87.fip = 0x123456789a;
    for (unsigned i = 0; i < 8; ++i) state.x87.physical[i] = {.significand = i + 1, .sign_exponent = 3};
    state.mxcsr = 0x1fa0;
    for (unsigned i = 0; i < 16; ++i) state.vector[i].bytes.fill(static_cast<std::byte>(i + 1));
    state.interrupt_shadow = true;
    state.nmi_blocked = true;

    kvm::Registers registers;
    kvm::to_kvm(state, registers);
    CpuState back = reset_state();
    kvm::from_kvm(registers, back);
    EXPECT_EQ(back.gpr, state.gpr);
    EXPECT_EQ(back.rip, state.rip);
    EXPECT_EQ(back.flags.value(), state.flags.value());
    for (unsigned i = 0; i < 6; ++i) {
        EXPECT_EQ(back.segments[i].base, state.segments[i].base);
        EXPECT_EQ(back.segments[i].attributes, state.segments[i].attributes);
        EXPECT_EQ(back.segments[i].selector, state.segments[i].selector);
    }
    EXPECT_EQ(back.gdtr.base, state.gdtr.base);
    EXPECT_EQ(back.cr4, state.cr4);
    EXPECT_EQ(back.efer, state.efer);
    EXPECT_EQ(back.xcr0, state.xcr0);
    EXPECT_EQ(back.dr, state.dr);
    EXPECT_EQ(back.x87.fsw, state.x87.fsw);
    EXPECT_EQ(back.x87.tags, state.x87.tags);
    EXPECT_EQ(back.x87.fip, state.x87.fip);
    for (unsigned i = 0; i < 8; ++i) {
        EXPECT_EQ(back.x87.physical[i].significand, state.x87.physical[i].significand);
    }
    EXPECT_EQ(back.mxcsr, state.mxcsr);
    for (unsigned i = 0; i < 16; ++i) EXPECT_EQ(back.vector[i].bytes, state.vector[i].bytes);
    EXPECT_TRUE(back.interrupt_shadow);
    EXPECT_FALSE(back.debug_shadow);
    EXPECT_TRUE(back.nmi_blocked);
}

}  // namespace
}  // namespace mynah
