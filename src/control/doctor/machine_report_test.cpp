#include "control/doctor/machine_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "control/doctor/serial_signs.h"
#include "machine/end_words.h"
#include "machine/host_memory.h"
#include "testing/host_root.h"

namespace mynah {
namespace {

using ::testing::HasSubstr;

std::vector<std::string> causes(const std::vector<Diagnosis>& found) {
    std::vector<std::string> names;
    for (const Diagnosis& each : found) names.push_back(each.cause);
    return names;
}

TEST(MachineReport, AProcessThatDied) {
    RunRecord::Contents record;
    record.process = 7;
    record.signal = SIGSEGV;
    record.has_run = true;
    record.serial = "hello from the guest\r\n";
    record.log = "a line of ours\n";
    const auto found = diagnose_record(record, false);
    ASSERT_EQ(causes(found), std::vector<std::string>{"process-crashed"});
    EXPECT_THAT(found[0].text, HasSubstr("process 7 that ran the machine ended by signal 11"));
    EXPECT_THAT(found[0].evidence, HasSubstr("a line of ours"));
    EXPECT_THAT(found[0].evidence, HasSubstr("hello from the guest"));
    record.signal = 0;
    EXPECT_THAT(diagnose_record(record, false)[0].text, HasSubstr("SIGKILL"));
    EXPECT_TRUE(diagnose_record(record, true).empty());
}

TEST(MachineReport, Endings) {
    RunRecord::Contents record;
    record.has_run = true;
    record.how = kEndCrashed;
    record.evidence = "vcpu 0 would run\n";
    EXPECT_EQ(causes(diagnose_record(record, false)), std::vector<std::string>{"triple-fault"});
    record.how = kEndPanicked;
    EXPECT_EQ(causes(diagnose_record(record, false)), std::vector<std::string>{"guest-panic"});
    record.how = kEndHostError;
    EXPECT_EQ(causes(diagnose_record(record, false)), std::vector<std::string>{"host-error"});
    record.how = kEndRefused;
    record.evidence = "--disk: no such file";
    EXPECT_EQ(causes(diagnose_record(record, false)), std::vector<std::string>{"refused"});
    record.how = "powered-off";
    EXPECT_TRUE(diagnose_record(record, false).empty());
}

TEST(MachineReport, TooLittleMemoryIsRefusedWithTheNumbers) {
    testing::HostRoot root;
    root.write("/proc/meminfo", "MemTotal: 1048576 kB\nMemAvailable: 524288 kB\nSwapTotal: 0 kB\n"
                                "CommitLimit: 524288 kB\nCommitted_AS: 102400 kB\n");
    constexpr uint64_t kMib = 1 << 20;
    const HostFiles files(root.path());
    EXPECT_TRUE(check_host_memory(files, 1024 * kMib));
    const auto refused = check_host_memory(files, 1025 * kMib);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message(), HasSubstr("1025 MiB are wanted"));
    EXPECT_THAT(refused.error().message(), HasSubstr("512 MiB are available"));
    EXPECT_THAT(refused.error().message(), HasSubstr("100 of 512 MiB are committed"));
    root.write("/proc/sys/vm/overcommit_memory", "2\n");
    EXPECT_TRUE(check_host_memory(files, 412 * kMib));
    EXPECT_FALSE(check_host_memory(files, 413 * kMib));
    RunRecord::Contents record;
    record.how = kEndRefused;
    record.evidence = refused.error().message();
    EXPECT_EQ(causes(diagnose_record(record, false)),
              std::vector<std::string>{"insufficient-memory"});
}

TEST(MachineReport, WhatTheKernelWrites) {
    const auto found = signs_on_serial(
        "[    0.000000] Linux version 6.1\r\n[ 1.0] Run /init as init process\r\n"
        "\x1b[1mKernel panic - not syncing: Attempted to kill init!\x1b[0m\r\nCPU: 0 PID: 1\r\n");
    ASSERT_EQ(causes(found), std::vector<std::string>{"guest-panic"});
    EXPECT_THAT(found[0].text, HasSubstr("in the initial RAM disk"));
    EXPECT_EQ(found[0].evidence,
              "Kernel panic - not syncing: Attempted to kill init!\nCPU: 0 PID: 1\n");
    EXPECT_EQ(causes(signs_on_serial("BUG: unable to handle page fault for address: 0\nOops: 0\n")),
              std::vector<std::string>{"guest-oops"});
    EXPECT_EQ(causes(signs_on_serial("udhcpc: no lease, failing\n")),
              std::vector<std::string>{"no-dhcp"});
    EXPECT_EQ(causes(signs_on_serial("e1000: eth0 NIC Link is Down\n")),
              std::vector<std::string>{"no-link"});
    EXPECT_TRUE(signs_on_serial("all is well\n").empty());
    EXPECT_THAT(boot_stage("Linux version 6\nsystemd[1]: Started\n"), HasSubstr("systemd"));
    EXPECT_EQ(last_lines("\x1b[2J\x01one\r\n\x1b[", 5), "one\n");
}

TEST(MachineReport, WhatTheLogSays) {
    EXPECT_EQ(causes(signs_in_log("disk.raw: no space left on the host at byte 4096: x\n")),
              std::vector<std::string>{"disk-full"});
    EXPECT_EQ(causes(signs_in_log("disk.raw: I/O error at byte 0: Input/output error\n")),
              std::vector<std::string>{"disk-errors"});
    EXPECT_TRUE(signs_in_log("starting\n").empty());
}

// The lines of engine/kvm/kvm_failure.cpp, where the same exits are played by a scripted kernel.
TEST(MachineReport, WhatKvmSays) {
    RunRecord::Contents record;
    record.has_run = true;
    record.how = kEndHostError;
    record.log =
        "kvm: the processor refused to enter the guest, reason 0x80000021: a check of the guest's "
        "state in the VMCS failed\nkvm: failed check: CR4 is 0x0: IA-32e mode needs PAE\n";
    auto found = diagnose_record(record, false);
    ASSERT_EQ(causes(found), std::vector<std::string>{"vm-entry-failed"});
    EXPECT_THAT(found[0].text, HasSubstr("VMCS corruption"));
    EXPECT_THAT(found[0].evidence, HasSubstr("CR4 is 0x0: IA-32e mode needs PAE"));
    record.log = "kvm: internal error 1 of KVM: KVM cannot emulate the guest's instruction at rip "
                 "0x1000, its bytes 0f 01 d9 (vmmcall)\n";
    found = diagnose_record(record, false);
    ASSERT_EQ(causes(found), std::vector<std::string>{"kvm-internal-error"});
    EXPECT_THAT(found[0].evidence, HasSubstr("vmmcall"));
}

TEST(MachineReport, InterruptsThatStayOff) {
    const ProcessorSample off{.vcpu = 0, .rip = 0x100000, .rflags = 2, .fresh = true};
    ProcessorSample on = off, stale = off, halted = off;
    on.rflags |= 0x200;
    stale.fresh = false;
    halted.halted = true;
    const auto diagnose = [](std::vector<ProcessorSample> in_time) {
        ProcessorSamples samples;
        for (const auto& each : in_time) samples.push_back({each});
        return diagnose_processors(samples);
    };
    const auto found = diagnose({off, off, off, off});
    ASSERT_EQ(causes(found), std::vector<std::string>{"interrupts-off"});
    EXPECT_THAT(found[0].text, HasSubstr("runs on"));
    EXPECT_THAT(found[0].evidence, HasSubstr("rip 0000000000100000"));
    EXPECT_THAT(diagnose({halted, halted, halted, halted})[0].text, HasSubstr("is halted"));
    EXPECT_TRUE(diagnose({off, off, off}).empty()) << "too few";
    EXPECT_TRUE(diagnose({off, off, on, off, off}).empty());
    EXPECT_TRUE(diagnose({off, off, stale, off, off}).empty());
}

TEST(MachineReport, ForPeopleAndForPrograms) {
    const std::vector<Diagnosis> found{{"guest-panic", "it panicked", "a\nb\n"}};
    EXPECT_EQ(machine_report("x", false, found),
              "x: not running\nguest-panic: it panicked\n    a\n    b\n");
    EXPECT_THAT(machine_report("x", true, {}), HasSubstr("nothing wrong"));
    EXPECT_EQ(machine_report_json("x", false, found)["diagnoses"][0]["cause"], "guest-panic");
}

TEST(MachineReport, WhatIsOnTheScreen) {
    RunRecord::Contents record;
    record.has_run = true;
    record.how = kEndCrashed;
    record.screen = "\n\nKernel panic - not syncing: VFS\n";
    const auto found = diagnose_record(record, false);
    EXPECT_EQ(causes(found), (std::vector<std::string>{"triple-fault", "guest-panic"}));
    EXPECT_THAT(machine_report("x", false, found, record.screen),
                HasSubstr("its screen:\n    Kernel panic - not syncing: VFS\n"));
    EXPECT_EQ(machine_report_json("x", false, found, record.screen)["screen"],
              "Kernel panic - not syncing: VFS\n");
}

class Recorded : public ::testing::Test {
  protected:
    std::string path() const { return root_.path() + "/record"; }
    void say(RunRecord& record, std::string_view text) {
        record.serial(0, std::as_bytes(std::span(text)));
    }
    testing::HostRoot root_;
};

TEST_F(Recorded, IsReadBack) {
    auto record = RunRecord::create(path()).take_value();
    say(*record, "boot\n");
    record->ran("64 MiB");
    record->watch_process();
    log(LogLevel::kError, "disk: {}", "full");
    auto read = RunRecord::read(path());
    ASSERT_TRUE(read);
    EXPECT_EQ(read->process, getpid());
    EXPECT_TRUE(read->has_run);
    EXPECT_EQ(read->how, "");
    EXPECT_EQ(read->serial, "boot\n");
    EXPECT_EQ(read->log, "disk: full\n");
    record->ended("triple-fault", std::string(100'000, 'x'));
    record.reset();
    log(LogLevel::kError, "nobody listens");
    read = RunRecord::read(path());
    EXPECT_EQ(read->how, "triple-fault");
    EXPECT_LT(read->evidence.size(), 100'000u);
}

TEST_F(Recorded, DevicesAndNetworks) {
    auto record = RunRecord::create(path()).take_value();
    VirtioHistory* const card = record->add_virtio(1, "slot 1");
    VirtioHistory* const disk = record->add_virtio(2, "slot 2");
    NetworkCounts* const counts = record->add_network("network 0 (user)");
    ASSERT_TRUE(card != nullptr && disk != nullptr && counts != nullptr);
    card->status = 3;
    card->legacy = 1;
    counts->discovers = 7;
    record->screen("hello\n");
    auto read = RunRecord::read(path());
    ASSERT_EQ(read->virtio.size(), 2u);
    EXPECT_EQ(read->virtio[0].place, "slot 1");
    EXPECT_EQ(read->virtio[0].values.status, 3u);
    EXPECT_TRUE(read->virtio[0].values.legacy);
    EXPECT_EQ(read->virtio[1].values.device_id, 2u);
    ASSERT_EQ(read->networks.size(), 1u);
    EXPECT_EQ(read->networks[0].values.discovers, 7u);
    EXPECT_EQ(read->screen, "hello\n");
    record->remove_virtio(card);
    EXPECT_EQ(RunRecord::read(path())->virtio.size(), 1u);
    EXPECT_EQ(record->add_virtio(1, "again"), card);
    EXPECT_EQ(card->values().status, 0u) << "what was there before";
    // There is an end to them.
    unsigned count = 2;
    while (record->add_virtio(1, "x") != nullptr) ++count;
    EXPECT_EQ(count, 64u);
    // What was there when the machine ended stays.
    record->ended(kEndCrashed, "");
    record->remove_virtio(disk);
    record->remove_network(counts);
    read = RunRecord::read(path());
    EXPECT_EQ(read->virtio.size(), 64u);
    EXPECT_EQ(read->networks.size(), 1u);
}

TEST_F(Recorded, KeepsTheLastOfMuch) {
    auto record = RunRecord::create(path()).take_value();
    for (int i = 0; i < 100'000; ++i) say(*record, std::to_string(i) + "\n");
    const auto read = RunRecord::read(path());
    EXPECT_TRUE(read->serial.ends_with("99998\n99999\n"));
    EXPECT_LT(read->serial.size(), 100'000u);
}

TEST_F(Recorded, DamagedOnesAreNone) {
    EXPECT_FALSE(RunRecord::read(path()));
    root_.write("/record", "short");
    EXPECT_FALSE(RunRecord::read(path()));
    root_.write("/record", std::string(100'000, '\xff'));
    EXPECT_FALSE(RunRecord::read(path()));
}

TEST_F(Recorded, NamesTheSignalThatEndedTheProcess) {
    const pid_t child = fork();
    if (child == 0) {
        auto record = RunRecord::create(path());
        if (record) record.value()->watch_process();
        kill(getpid(), SIGSEGV);
        _exit(0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    const auto read = RunRecord::read(path());
    ASSERT_TRUE(read);
    EXPECT_EQ(read->signal, SIGSEGV);
}

}  // namespace
}  // namespace mynah
