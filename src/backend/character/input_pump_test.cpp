#include "backend/character/input_pump.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>

namespace mynah {
namespace {

// Takes at most `space` bytes until more is given.
class SlowSink final : public CharacterSink {
  public:
    size_t input_space() override { return space; }
    void input(std::span<const std::byte> bytes) override {
        EXPECT_LE(bytes.size(), space.load());
        space -= bytes.size();
        MutexLock lock(mutex_);
        text_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }
    std::string text() {
        MutexLock lock(mutex_);
        return text_;
    }
    std::atomic<size_t> space{0};

  private:
    Mutex mutex_;
    std::string text_ GUARDED_BY(mutex_);
};

class InputPumpTest : public testing::Test {
  protected:
    InputPumpTest() {
        int ends[2];
        EXPECT_EQ(pipe(ends), 0);
        reader_ = Fd(ends[0]);
        writer_ = Fd(ends[1]);
    }
    void type(const std::string& text) {
        EXPECT_EQ(write(writer_.get(), text.data(), text.size()),
                  static_cast<ssize_t>(text.size()));
    }
    template <typename Condition>
    static bool soon(Condition condition) {
        for (int i = 0; i < 5000; ++i) {
            if (condition()) return true;
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        return false;
    }

    SlowSink sink_;
    Fd reader_, writer_;
    InputPump pump_;  // stops before its descriptor closes
};

TEST_F(InputPumpTest, GivesNoMoreThanIsTaken) {
    sink_.space = 3;
    pump_.set_sink(&sink_);
    pump_.start(reader_.get(), InputPump::WhenFull::kHoldBack);
    type("abcdefgh");
    EXPECT_TRUE(soon([&] { return sink_.text() == "abc"; }));
    sink_.space = 100;
    pump_.input_wanted();
    EXPECT_TRUE(soon([&] { return sink_.text() == "abcdefgh"; }));
}

TEST_F(InputPumpTest, HoldsBackWithoutLosing) {
    pump_.set_sink(&sink_);
    pump_.start(reader_.get(), InputPump::WhenFull::kHoldBack);
    std::string all;
    for (int i = 0; i < 4000; ++i) all += std::to_string(i);
    type(all);
    sink_.space = all.size();
    pump_.input_wanted();
    EXPECT_TRUE(soon([&] { return sink_.text() == all; }));
}

TEST_F(InputPumpTest, KeepsReadingWhenToldToDrop) {
    std::atomic<size_t> seen{0};
    pump_.set_sink(&sink_);
    pump_.start(reader_.get(), InputPump::WhenFull::kDrop,
                [&](std::span<const std::byte> in, std::vector<std::byte>& out) {
                    seen += in.size();
                    out.insert(out.end(), in.begin(), in.end());
                });
    const std::string chunk(1000, 'x');
    for (int i = 0; i < 20; ++i) type(chunk);
    EXPECT_TRUE(soon([&] { return seen == 20000; }));
}

TEST_F(InputPumpTest, EndIsToldAfterTheLastByte) {
    std::atomic<bool> ended{false};
    sink_.space = 1;
    pump_.set_sink(&sink_);
    pump_.start(reader_.get(), InputPump::WhenFull::kHoldBack, nullptr, [&] { ended = true; });
    type("xy");
    writer_.reset();
    EXPECT_TRUE(soon([&] { return sink_.text() == "x"; }));
    EXPECT_FALSE(ended);
    sink_.space = 1;
    pump_.input_wanted();
    EXPECT_TRUE(soon([&] { return ended.load(); }));
    EXPECT_EQ(sink_.text(), "xy");
}

TEST_F(InputPumpTest, FormerSinkIsLeftAlone) {
    sink_.space = 100;
    pump_.set_sink(&sink_);
    pump_.start(reader_.get(), InputPump::WhenFull::kHoldBack);
    type("a");
    EXPECT_TRUE(soon([&] { return sink_.text() == "a"; }));
    SlowSink other;
    other.space = 100;
    pump_.set_sink(&other);
    type("b");
    EXPECT_TRUE(soon([&] { return other.text() == "b"; }));
    EXPECT_EQ(sink_.text(), "a");
    pump_.stop();
}

}  // namespace
}  // namespace mynah
