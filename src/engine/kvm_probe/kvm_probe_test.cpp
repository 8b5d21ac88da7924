#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/kvm.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "engine/engine.h"
#include "engine/kvm_probe/engine_choice.h"
#include "engine/kvm_probe/engine_speed.h"
#include "engine/kvm_probe/probe_guest.h"
#include "testing/host_root.h"
#include "testing/scripted_system_calls.h"

namespace mynah {
namespace {

using Kind = KvmVerdict::Kind;
using ::testing::HasSubstr;

class KvmProbe : public ::testing::Test {
  protected:
    KvmProbe() {
        calls_.on(KVM_GET_API_VERSION, KVM_API_VERSION);
        calls_.on(KVM_CHECK_EXTENSION, 1);
        calls_.on(KVM_CREATE_VM, [this](int, uintptr_t) { return calls_.new_fd("machine"); });
        calls_.on(KVM_SET_USER_MEMORY_REGION, 0);
        calls_.on(KVM_CREATE_VCPU, [this](int, uintptr_t) { return vcpu_ = calls_.new_fd("vcpu"); });
        calls_.on(KVM_GET_VCPU_MMAP_SIZE, 3 * 4096);
        calls_.on(KVM_GET_SREGS, 0);
        calls_.on(KVM_SET_SREGS, 0);
        calls_.on(KVM_SET_REGS, 0);
        calls_.on(KVM_RUN, -EINTR);
        answer_turns(1'000'000);
        processor("vmx");
        root_.write("/proc/sys/kernel/random/boot_id", "one");
    }
    ~KvmProbe() override { EXPECT_TRUE(calls_.open_fds().empty()); }

    void processor(const std::string& flags) {
        root_.write("/proc/cpuinfo", "flags : fpu " + flags + "\n");
    }
    void answer_turns(uint64_t turns) {
        calls_.on(KVM_GET_REGS, [turns](int, uintptr_t to) {
            auto& registers = *reinterpret_cast<kvm_regs*>(to);
            registers = {};
            registers.rip = ProbeGuest::kCode + 3;
            registers.rcx = ProbeGuest::kCount - turns;
            return 0;
        });
    }
    KvmVerdict verdict(int opening = 0) {
        if (opening != -ENOENT) calls_.node("/dev/kvm", opening);
        return kvm_preflight(calls_, HostFiles(root_.path()));
    }
    // A millisecond passes between two looks.
    Result<double> speed() {
        calls_.node("/dev/kvm");
        return kvm_speed(calls_, std::chrono::milliseconds(5),
                         [this] { return time_ += 1'000'000; });
    }
    void exit_with(uint32_t reason, const std::function<void(kvm_run&)>& more = {}) {
        calls_.on(KVM_RUN, [this, reason, more](int, uintptr_t) {
            auto& run = *static_cast<kvm_run*>(calls_.mapping(vcpu_));
            run.exit_reason = reason;
            if (more) more(run);
            return 0;
        });
    }
    EngineMeasures measures(const std::string& cache = "") {
        return measure_engines(calls_, HostFiles(root_.path()), cache);
    }

    testing::ScriptedSystemCalls calls_;
    testing::HostRoot root_;
    int vcpu_ = -1;
    uint64_t time_ = 0;
};

TEST_F(KvmProbe, FindsNothingWrong) {
    EXPECT_EQ(verdict().kind, Kind::kUsable);
    EXPECT_EQ(verdict().wrong, "");
}

TEST_F(KvmProbe, NamesTheModuleOfTheProcessor) {
    KvmVerdict found = verdict(-ENOENT);
    EXPECT_EQ(found.kind, Kind::kNoModule);
    EXPECT_THAT(found.wrong, HasSubstr("module kvm_intel is not loaded"));
    EXPECT_EQ(found.command, "sudo modprobe kvm_intel");
    processor("svm");
    EXPECT_EQ(verdict(-ENOENT).command, "sudo modprobe kvm_amd");
    // A node made in advance, as udev does.
    EXPECT_EQ(verdict(-ENODEV).kind, Kind::kNoModule);
    EXPECT_EQ(verdict(-ENXIO).kind, Kind::kNoModule);
}

TEST_F(KvmProbe, TellsNestingOffFromNoVirtualization) {
    processor("sse2");
    EXPECT_EQ(verdict(-ENOENT).kind, Kind::kNoVirtualization);
    EXPECT_THAT(verdict(-ENOENT).remedy, HasSubstr("firmware"));
    processor("sse2 hypervisor");
    EXPECT_EQ(verdict(-ENOENT).kind, Kind::kNestedOff);
    EXPECT_THAT(verdict(-ENOENT).remedy, HasSubstr("nested virtualization"));
    EXPECT_EQ(verdict(-ENODEV).kind, Kind::kNestedOff);
}

TEST_F(KvmProbe, SeesAContainerWithoutTheNode) {
    root_.write("/sys/module/kvm_intel/refcnt", "0");
    const KvmVerdict found = verdict(-ENOENT);
    EXPECT_EQ(found.kind, Kind::kNoNode);
    EXPECT_THAT(found.remedy, HasSubstr("--device /dev/kvm"));
    EXPECT_EQ(found.command, "sudo mknod /dev/kvm c 10 232");
}

TEST_F(KvmProbe, NamesTheGroupThatMay) {
    root_.write("/dev/kvm", "");
    root_.write("/etc/group", "kvmers:x:" + std::to_string(getgid()) + ":\n");
    const KvmVerdict found = verdict(-EACCES);
    EXPECT_EQ(found.kind, Kind::kNoRights);
    EXPECT_THAT(found.wrong, HasSubstr("the group kvmers, which this process is not in"));
    EXPECT_EQ(found.command, "sudo usermod -aG kvmers $USER");
    root_.write("/etc/group", "root:x:" + std::to_string(getgid()) + ":\n");
    EXPECT_THAT(verdict(-EACCES).wrong, HasSubstr("by root alone"));
    EXPECT_THAT(verdict(-EPERM).remedy, HasSubstr("device rule"));
}

TEST_F(KvmProbe, SaysWhatElseIsInTheWay) {
    EXPECT_EQ(verdict(-EBUSY).kind, Kind::kBusy);
    EXPECT_EQ(verdict(-EMFILE).kind, Kind::kNoMachine);
    calls_.on(KVM_CREATE_VM, -ENOMEM);
    EXPECT_THAT(verdict().wrong, HasSubstr("KVM_CREATE_VM: Cannot allocate memory"));
    EXPECT_EQ(verdict().command, "sudo dmesg | grep -i kvm");
    calls_.on(KVM_CREATE_VM, -EBUSY);
    EXPECT_THAT(verdict().remedy, HasSubstr("another hypervisor"));
}

TEST_F(KvmProbe, RefusesAnotherInterface) {
    calls_.on(KVM_GET_API_VERSION, 10);
    EXPECT_EQ(verdict().kind, Kind::kWrongVersion);
    EXPECT_THAT(verdict().wrong, HasSubstr("version 10 of its interface; expected 12"));
    calls_.on(KVM_GET_API_VERSION, -ENOTTY);
    EXPECT_THAT(verdict().wrong, HasSubstr("does not tell its version"));
}

TEST_F(KvmProbe, NamesTheMissingCapability) {
    calls_.on(KVM_CHECK_EXTENSION, [](int, uintptr_t which) {
        return which == KVM_CAP_IMMEDIATE_EXIT ? 0 : 1;
    });
    EXPECT_EQ(verdict().kind, Kind::kMissingCapability);
    EXPECT_THAT(verdict().wrong, HasSubstr("does not have KVM_CAP_IMMEDIATE_EXIT"));
}

TEST_F(KvmProbe, EveryKindHasANameOfItsOwn) {
    std::set<std::string> names;
    for (int i = 0; i <= static_cast<int>(Kind::kEmulated); ++i)
        names.insert(name_of(static_cast<Kind>(i)));
    EXPECT_EQ(names.size(), static_cast<size_t>(Kind::kEmulated) + 1);
    EXPECT_EQ(names.count("unknown"), 0u);
}

TEST_F(KvmProbe, CountsWhatTheLoopDid) {
    const auto found = speed();
    ASSERT_TRUE(found) << found.error().message();
    EXPECT_DOUBLE_EQ(found.value(), 1e6 * ProbeGuest::kInstructions * 1000);
}

TEST_F(KvmProbe, SaysWhyAGuestCannotRun) {
    exit_with(KVM_EXIT_FAIL_ENTRY,
              [](kvm_run& run) { run.fail_entry.hardware_entry_failure_reason = 0x80000021; });
    EXPECT_THAT(speed().error().message(), HasSubstr("reason 0x80000021: a check of the guest's state"));
    exit_with(KVM_EXIT_INTERNAL_ERROR, [](kvm_run& run) { run.internal.suberror = 1; });
    EXPECT_THAT(speed().error().message(), HasSubstr("internal error 1 of KVM: KVM cannot emulate"));
    exit_with(KVM_EXIT_SHUTDOWN);
    EXPECT_THAT(speed().error().message(), HasSubstr("triple fault"));
    exit_with(KVM_EXIT_MMIO);
    EXPECT_THAT(speed().error().message(), HasSubstr("unexpected exit 6"));
    calls_.on(KVM_RUN, -EFAULT);
    EXPECT_THAT(speed().error().message(), HasSubstr("KVM_RUN: Bad address"));
    calls_.on(KVM_CREATE_VCPU, -EINVAL);
    EXPECT_THAT(speed().error().message(), HasSubstr("KVM_CREATE_VCPU"));
    calls_.on(KVM_CREATE_VCPU, [this](int, uintptr_t) { return vcpu_ = calls_.new_fd("vcpu"); });
    calls_.on(KVM_GET_VCPU_MMAP_SIZE, 16);
    EXPECT_THAT(speed().error().message(), HasSubstr("less than a kvm_run"));
}

TEST_F(KvmProbe, TheTranslatorRunsTheLoop) {
    if (!translator_usable()) GTEST_SKIP() << "the host's processor has no AVX or BMI2";
    const auto found = translator_speed(std::chrono::milliseconds(5));
    ASSERT_TRUE(found) << found.error().message();
    EXPECT_GT(found.value(), 0);
}

TEST_F(KvmProbe, EmulatedIsSlowerThanTheTranslator) {
    calls_.node("/dev/kvm");
    answer_turns(10);
    const EngineMeasures found = measures();
    ASSERT_TRUE(found.translator_speed);
    EXPECT_EQ(found.kvm.kind, Kind::kEmulated);
    const EngineChoice choice = choose_engine(found);
    EXPECT_EQ(choice.engine, EngineKind::kTranslator);
    EXPECT_THAT(choice.line, HasSubstr("--accel auto chose jit: /dev/kvm is there but emulated"));
    EXPECT_THAT(choice.line, HasSubstr("million instructions a second"));
    EXPECT_THAT(choice.line, HasSubstr("--accel names another"));
}

TEST_F(KvmProbe, ChoosesKvmWhereItIsFast) {
    calls_.node("/dev/kvm");
    answer_turns(uint64_t{1} << 50);
    const EngineMeasures found = measures();
    EXPECT_TRUE(found.kvm.usable());
    EXPECT_EQ(choose_engine(found).engine, EngineKind::kKvm);
    EXPECT_THAT(choose_engine(found).line, HasSubstr("--accel auto chose kvm"));
}

TEST_F(KvmProbe, ChoosesTheInterpreterWhereNothingElseRuns) {
    EngineMeasures none;
    none.kvm = {Kind::kNoModule, "no module", "", ""};
    EXPECT_EQ(choose_engine(none).engine, EngineKind::kInterpreter);
}

TEST_F(KvmProbe, AMachineThatFailsIsNotChosen) {
    calls_.node("/dev/kvm");
    exit_with(KVM_EXIT_SHUTDOWN);
    const EngineMeasures found = measures(root_.path() + "/cache");
    EXPECT_EQ(found.kvm.kind, Kind::kNoMachine);
    EXPECT_THAT(found.kvm.wrong, HasSubstr("KVM cannot run a machine: KVM_RUN"));
    EXPECT_FALSE(std::filesystem::exists(root_.path() + "/cache/speeds"));
}

TEST_F(KvmProbe, RemembersForOneBootOfTheHost) {
    const std::string cache = root_.path() + "/cache/engines";
    calls_.node("/dev/kvm");
    answer_turns(10);
    EXPECT_FALSE(measures(cache).from_cache);
    const EngineMeasures again = measures(cache);
    EXPECT_TRUE(again.from_cache);
    EXPECT_EQ(again.kvm.kind, Kind::kEmulated);
    EXPECT_EQ(calls_.count(KVM_RUN), 1u);
    root_.write("/proc/sys/kernel/random/boot_id", "two");
    EXPECT_FALSE(measures(cache).from_cache);
    EXPECT_EQ(calls_.count(KVM_RUN), 2u);
    // Rights are asked for every time.
    calls_.node("/dev/kvm", -EACCES);
    root_.write("/dev/kvm", "");
    EXPECT_EQ(measures(cache).kvm.kind, Kind::kNoRights);
    for (const char* const damaged : {"", "mynah-engines-1 two", "mynah-engines-1 two -4 x"}) {
        std::ofstream(cache + "/speeds") << damaged;
        EXPECT_FALSE(measures(cache).from_cache) << damaged;
    }
}

TEST_F(KvmProbe, AKvmThatComesLaterIsMeasured) {
    const std::string cache = root_.path() + "/cache";
    EXPECT_EQ(measures(cache).kvm.kind, Kind::kNoModule);
    EXPECT_TRUE(measures(cache).from_cache);
    calls_.node("/dev/kvm");
    EXPECT_FALSE(measures(cache).from_cache);
    EXPECT_EQ(calls_.count(KVM_RUN), 1u);
}

// With the kernel's own KVM, where there is one.
TEST_F(KvmProbe, ThisHost) {
    if (!kvm_preflight(host_system_calls(), HostFiles()).usable()) GTEST_SKIP() << "no KVM here";
    const auto found = kvm_speed(host_system_calls(), std::chrono::milliseconds(7));
    ASSERT_TRUE(found) << found.error().message();
    EXPECT_GT(found.value(), 1e5);
    RecordProperty("kvm_instructions_a_second", std::to_string(found.value()));
}

}  // namespace
}  // namespace mynah
