#include "machine/vcpu_thread.h"

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

namespace mynah {
namespace {

using namespace std::chrono_literals;

// A processor that does nothing but return what the test says, and otherwise waits to be kicked.
// Like a real one it lowers the signals that it returns for.
class ScriptedVcpu final : public Vcpu {
  public:
    ScriptedVcpu() : signals_(own_signals_) {}
    explicit ScriptedVcpu(CpuSignals& signals) : signals_(signals) {}
    CpuState& state() override {
        if (state_.halted && at_halt) std::exchange(at_halt, nullptr)();
        return state_;
    }
    void state_changed() override {}
    CpuSignals& signals() { return signals_; }
    VcpuStatistics statistics() const override {
        VcpuStatistics statistics;
        statistics.instructions = instructions;
        return statistics;
    }
    VcpuExit run(uint64_t limit) override {
        ++runs;
        last_limit = limit;
        last_cs = state_.cs().selector;
        for (;;) {
            if ((signals_.pending() & CpuSignals::kInit) != 0) {
                signals_.lower(CpuSignals::kInit);
                return VcpuExit::kInit;
            }
            if ((signals_.pending() & CpuSignals::kKick) != 0) {
                signals_.lower(CpuSignals::kKick);
                return VcpuExit::kKicked;
            }
            {
                std::lock_guard lock(mutex_);
                if (!script_.empty()) {
                    const VcpuExit exit = script_.front();
                    script_.pop_front();
                    if (exit == VcpuExit::kInstructionLimit) instructions += limit;
                    return exit;
                }
            }
            std::this_thread::sleep_for(100us);
        }
    }
    void say(VcpuExit exit) {
        std::lock_guard lock(mutex_);
        script_.push_back(exit);
    }

    std::atomic<int> runs{0};
    std::atomic<uint64_t> last_limit{0};
    std::atomic<uint16_t> last_cs{0};
    std::atomic<uint64_t> instructions{0};
    std::function<void()> at_halt;  // once, when somebody looks at a processor that is halted

  private:
    CpuState state_ = reset_state();
    CpuSignals own_signals_;
    CpuSignals& signals_;
    std::mutex mutex_;
    std::deque<VcpuExit> script_;
};

class RecordingEvents final : public VcpuEvents {
  public:
    explicit RecordingEvents(RunControl& control) : control_(control) {}
    void vcpu_init(VcpuIndex) override { ++inits; }
    void vcpu_resumes(VcpuIndex) override { ++resumes; }
    void vcpu_paused(VcpuIndex) override { ++pauses; }
    void vcpu_shut_down(VcpuIndex) override { control_.request_stop(StopReason::kCrashed); }
    std::atomic<int> inits{0}, resumes{0}, pauses{0};

  private:
    RunControl& control_;
};

class VcpuThreadTest : public testing::Test {
  protected:
    VcpuThreadTest() { make(std::nullopt); }
    ~VcpuThreadTest() override { end(); }

    void make(std::optional<uint64_t> limit) {
        thread_ = std::make_unique<VcpuThread>(VcpuIndex(0), vcpu_, vcpu_.signals(), control_, events_,
                                               idle_, limit);
        control_.set_kick([this] { vcpu_.signals().raise(CpuSignals::kKick); });
    }
    void start(VcpuThread::Begin begin) {
        thread_->prepare(reset_state(), begin);
        thread_->start();
    }
    void end() {
        control_.request_stop(StopReason::kQuit);
        thread_->join();
    }
    template <typename Condition>
    static bool soon(Condition condition) {
        for (int i = 0; i < 50000; ++i) {
            if (condition()) return true;
            std::this_thread::sleep_for(100us);
        }
        return false;
    }
    bool stays_at(int runs) {
        std::this_thread::sleep_for(20ms);
        return vcpu_.runs == runs;
    }

    ScriptedVcpu vcpu_;
    RunControl control_;
    IdleLook idle_;
    RecordingEvents events_{control_};
    std::unique_ptr<VcpuThread> thread_;
};

TEST_F(VcpuThreadTest, StopEndsARunningProcessor) {
    start(VcpuThread::Begin::kRunning);
    ASSERT_TRUE(soon([&] { return vcpu_.runs == 1; }));
    end();
    EXPECT_EQ(control_.stop_reason(), StopReason::kQuit);
}

TEST_F(VcpuThreadTest, AnUnhaltEndsAHaltWithoutInterrupts) {
    thread_->prepare(reset_state(), VcpuThread::Begin::kRunning);
    vcpu_.say(VcpuExit::kHalted);
    thread_->start();
    ASSERT_TRUE(soon([&] { return vcpu_.runs == 1; }));
    EXPECT_TRUE(stays_at(1));
    vcpu_.signals().raise(CpuSignals::kUnhalt);
    EXPECT_TRUE(soon([&] { return vcpu_.runs == 2; }));
    EXPECT_EQ(vcpu_.signals().pending() & CpuSignals::kUnhalt, 0u);
}

// It came before the halt: that one ends at once, and the next one does not.
TEST_F(VcpuThreadTest, AnUnhaltIsKeptForTheNextHalt) {
    thread_->prepare(reset_state(), VcpuThread::Begin::kRunning);
    vcpu_.say(VcpuExit::kHalted);
    vcpu_.say(VcpuExit::kHalted);
    vcpu_.signals().raise(CpuSignals::kUnhalt);
    thread_->start();
    ASSERT_TRUE(soon([&] { return vcpu_.runs == 2; }));
    EXPECT_TRUE(stays_at(2));
}

TEST_F(VcpuThreadTest, EachRunIsAnnouncedAndItsEndTold) {
    thread_->prepare(reset_state(), VcpuThread::Begin::kRunning);
    vcpu_.say(VcpuExit::kHalted);
    thread_->start();
    ASSERT_TRUE(soon([&] { return vcpu_.runs == 1 && events_.pauses == 1; }));
    EXPECT_EQ(events_.resumes, 1);
    vcpu_.signals().raise(CpuSignals::kUnhalt);
    EXPECT_TRUE(soon([&] { return events_.resumes == 2; }));
}

TEST_F(VcpuThreadTest, HaltedProcessorSleepsUntilAnInterrupt) {
    thread_->prepare(reset_state(), VcpuThread::Begin::kRunning);
    vcpu_.state().flags.set(x86::rflags::kIf);
    vcpu_.say(VcpuExit::kHalted);
    thread_->start();
    ASSERT_TRUE(soon([&] { return vcpu_.runs == 1; }));
    EXPECT_TRUE(stays_at(1));
    vcpu_.signals().raise(CpuSignals::kInterrupt);
    EXPECT_TRUE(soon([&] { return vcpu_.runs == 2; }));
}

TEST_F(VcpuThreadTest, MaskedInterruptDoesNotEndAHalt) {
    vcpu_.say(VcpuExit::kHalted);
    start(VcpuThread::Begin::kRunning);  // IF is clear after reset
    ASSERT_TRUE(soon([&] { return vcpu_.runs == 1; }));
    vcpu_.signals().raise(CpuSignals::kInterrupt);
    EXPECT_TRUE(stays_at(1));
    vcpu_.signals().raise(CpuSignals::kNmi);
    EXPECT_TRUE(soon([&] { return vcpu_.runs == 2; }));
}

TEST_F(VcpuThreadTest, StartupIpiStartsAWaitingProcessor) {
    start(VcpuThread::Begin::kWaitForStartup);
    EXPECT_TRUE(stays_at(0));
    thread_->startup(0x9a);
    ASSERT_TRUE(soon([&] { return vcpu_.runs == 1; }));
    EXPECT_EQ(vcpu_.last_cs, 0x9a00);
    EXPECT_EQ(vcpu_.state().cs().base, 0x9a000u);
    EXPECT_EQ(vcpu_.state().rip, 0u);
}

TEST_F(VcpuThreadTest, StartupIpiIsIgnoredByARunningProcessor) {
    start(VcpuThread::Begin::kWaitForStartup);
    thread_->startup(0x10);
    ASSERT_TRUE(soon([&] { return vcpu_.runs == 1; }));
    thread_->startup(0x20);
    vcpu_.signals().raise(CpuSignals::kInit);  // and a stale one does not start it again
    ASSERT_TRUE(soon([&] { return events_.inits == 1; }));
    EXPECT_TRUE(stays_at(1));
}

TEST_F(VcpuThreadTest, StartupIpiRightBehindInitCounts) {
    start(VcpuThread::Begin::kWaitForStartup);
    thread_->startup(0x10);
    ASSERT_TRUE(soon([&] { return vcpu_.runs == 1; }));
    for (int i = 2; i < 200; ++i) {
        vcpu_.signals().raise(CpuSignals::kInit);
        thread_->startup(static_cast<uint8_t>(i));
        ASSERT_TRUE(soon([&] { return vcpu_.runs >= i; })) << i;
        ASSERT_TRUE(soon([&] { return vcpu_.last_cs == i << 8; })) << i;
    }
}

TEST_F(VcpuThreadTest, TripleFaultStopsTheMachine) {
    vcpu_.say(VcpuExit::kShutdown);
    start(VcpuThread::Begin::kRunning);
    EXPECT_TRUE(soon([&] { return control_.stop_reason().has_value(); }));
    EXPECT_EQ(control_.stop_reason(), StopReason::kCrashed);
}

TEST_F(VcpuThreadTest, InstructionLimitStopsTheMachine) {
    thread_.reset();
    make(1000);
    vcpu_.say(VcpuExit::kInstructionLimit);
    start(VcpuThread::Begin::kRunning);
    EXPECT_TRUE(soon([&] { return control_.stop_reason().has_value(); }));
    EXPECT_EQ(control_.stop_reason(), StopReason::kInstructionLimit);
    EXPECT_EQ(vcpu_.last_limit, 1000u);
}

TEST_F(VcpuThreadTest, ResetParksTheProcessorUntilResumed) {
    start(VcpuThread::Begin::kRunning);
    ASSERT_TRUE(soon([&] { return vcpu_.runs == 1; }));
    control_.request_reset();
    EXPECT_EQ(control_.wait(1, std::nullopt), RunControl::Event::kReset);
    EXPECT_TRUE(stays_at(1));
    thread_->prepare(reset_state(), VcpuThread::Begin::kRunning);
    control_.resume(RunControl::Event::kReset);
    EXPECT_TRUE(soon([&] { return vcpu_.runs == 2; }));
}

TEST_F(VcpuThreadTest, ResetReachesASleepingProcessor) {
    start(VcpuThread::Begin::kWaitForStartup);
    control_.request_reset();
    EXPECT_EQ(control_.wait(1, std::nullopt), RunControl::Event::kReset);
    thread_->prepare(reset_state(), VcpuThread::Begin::kRunning);
    control_.resume(RunControl::Event::kReset);
    EXPECT_TRUE(soon([&] { return vcpu_.runs == 1; }));
}

// A halted processor that is kicked for a pause is still halted behind it; only what ends a halt
// lets it go on.
TEST_F(VcpuThreadTest, APauseDoesNotEndAHalt) {
    vcpu_.say(VcpuExit::kHalted);
    start(VcpuThread::Begin::kRunning);
    ASSERT_TRUE(soon([&] { return vcpu_.runs == 1; }));
    for (int i = 0; i < 20; ++i) {
        control_.request_pause();
        ASSERT_EQ(control_.wait(1, std::nullopt), RunControl::Event::kPaused);
        EXPECT_TRUE(vcpu_.state().halted);
        control_.resume(RunControl::Event::kPaused);
    }
    EXPECT_TRUE(stays_at(1));
    vcpu_.signals().raise(CpuSignals::kNmi);
    EXPECT_TRUE(soon([&] { return vcpu_.runs == 2; }));
}

// What ends the halt and the kick come together, after the thread has looked whether it may go on: it
// must not run, as nobody would kick it again.
TEST_F(VcpuThreadTest, APauseThatComesWithAnInterruptIsSeen) {
    vcpu_.say(VcpuExit::kHalted);
    vcpu_.at_halt = [this] {
        vcpu_.signals().raise(CpuSignals::kNmi);
        control_.request_pause();
    };
    start(VcpuThread::Begin::kRunning);
    ASSERT_EQ(control_.wait(1, std::chrono::steady_clock::now() + 60s),
              RunControl::Event::kPaused);
    EXPECT_EQ(vcpu_.runs, 1);
    control_.resume(RunControl::Event::kPaused);
    EXPECT_TRUE(soon([&] { return vcpu_.runs == 2; }));
}

TEST_F(VcpuThreadTest, AnotherVcpuTakesOver) {
    start(VcpuThread::Begin::kWaitForStartup);
    control_.request_pause();
    ASSERT_EQ(control_.wait(1, std::nullopt), RunControl::Event::kPaused);
    ScriptedVcpu other(vcpu_.signals());
    other.state() = vcpu_.state();
    thread_->exchange(other, 10);
    control_.resume(RunControl::Event::kPaused);
    thread_->startup(0x12);  // it still waits for one
    ASSERT_TRUE(soon([&] { return other.runs == 1; }));
    EXPECT_EQ(other.last_cs, 0x1200);
    EXPECT_EQ(vcpu_.runs, 0);
    end();
}

TEST_F(VcpuThreadTest, APauseAndAResetAreBothSeen) {
    start(VcpuThread::Begin::kRunning);
    control_.request_pause();
    control_.request_reset();
    EXPECT_EQ(control_.wait(1, std::nullopt), RunControl::Event::kReset);
    control_.resume(RunControl::Event::kReset);
    EXPECT_EQ(control_.wait(1, std::nullopt), RunControl::Event::kPaused);
    control_.resume(RunControl::Event::kPaused);
    EXPECT_TRUE(soon([&] { return vcpu_.runs >= 1; }));
}

TEST(RunControlTest, DeadlinePasses) {
    RunControl control;
    EXPECT_EQ(control.wait(1, std::chrono::steady_clock::now() + 1ms),
              RunControl::Event::kDeadline);
}

TEST(RunControlTest, FirstReasonCounts) {
    RunControl control;
    control.request_stop(StopReason::kPoweredOff);
    control.request_stop(StopReason::kQuit);
    control.request_reset();
    EXPECT_EQ(control.wait(1, std::nullopt), RunControl::Event::kStop);
    EXPECT_EQ(control.stop_reason(), StopReason::kPoweredOff);
    EXPECT_FALSE(control.proceed());
}

}  // namespace
}  // namespace mynah
