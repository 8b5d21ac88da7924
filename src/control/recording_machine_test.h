#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "control/controlled_machine.h"

namespace mynah::testing {

// Notes what it is asked to do. Any thread.
class RecordingMachine final : public ControlledMachine {
  public:
    std::string name() const override { return "box"; }
    Result<void> screenshot(const std::string& path) override {
        note("screenshot " + path);
        if (path == "refused") return Error("refused: no picture");
        return {};
    }
    Result<void> attach(const std::string& driver, const std::string& id, const std::string& value,
                        const std::string&) override {
        note("attach " + driver + " " + id + " " + value);
        if (value == "refused") return Error("refused: no slot");
        return {};
    }
    Result<void> detach(const std::string& id) override {
        note("detach " + id);
        return {};
    }
    std::vector<std::string> attached() override { return {"disk1"}; }
    std::vector<RemovableDrive> removable_drives() override {
        return {{"cd0", "/images/a.iso", false, true}, {"cd1", "", true, false}};
    }
    Result<void> change_medium(const std::string& drive, const std::string& path,
                               bool force) override {
        note("change " + drive + " to '" + path + "'" + (force ? " by force" : ""));
        if (path == "refused") return Error("refused: no medium");
        return {};
    }
    void press_power_button() override { note("power button"); }
    void reset() override { note("reset"); }
    std::string engine() override { return "jit"; }
    std::map<std::string, uint64_t> engine_uses() override { return {{"ioeventfds", 2}}; }
    Result<void> set_engine(const std::string& name) override {
        note("engine " + name);
        if (name == "refused") return Error("refused: no engine");
        return {};
    }
    Result<void> set_balloon(uint64_t bytes) override {
        note("balloon " + std::to_string(bytes));
        return {};
    }
    Result<uint64_t> balloon_actual() override { return uint64_t{4096}; }
    Result<std::map<std::string, uint64_t>> balloon_statistics() override {
        return std::map<std::string, uint64_t>{{"stat-free-memory", 77}};
    }
    std::optional<PluggableMemory> pluggable_memory() override {
        return PluggableMemory{"mem0", 1ull << 32, 1ull << 30, 2 << 20, 4 << 20, 2 << 20};
    }
    Result<void> request_memory(uint64_t bytes) override {
        note("memory " + std::to_string(bytes));
        return {};
    }
    Result<void> ask_for_free_pages() override {
        note("free pages");
        return {};
    }
    void quit() override { note("quit"); }

    std::vector<std::string> notes() EXCLUDES(mutex_) {
        MutexLock lock(mutex_);
        return notes_;
    }

  private:
    static constexpr size_t kNotesMost = 10'000;

    void note(std::string text) EXCLUDES(mutex_) {
        MutexLock lock(mutex_);
        if (notes_.size() < kNotesMost) notes_.push_back(std::move(text));
    }

    Mutex mutex_;
    std::vector<std::string> notes_ GUARDED_BY(mutex_);
};

}  // namespace mynah::testing
