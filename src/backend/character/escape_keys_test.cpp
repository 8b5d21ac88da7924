#include "backend/character/escape_keys.h"

#include <gtest/gtest.h>

#include <string>

namespace mynah {
namespace {

class EscapeKeysTest : public testing::Test {
 protected:
    EscapeKeysTest()
        : keys_({.quit = [this] { ++quits_; },
                 .help = [this] { ++helps_; },
                 .resize = [] { return std::vector<std::byte>{std::byte{'r'}}; }}) {}

    std::string type(std::string_view text) {
        std::vector<std::byte> out;
        keys_.filter(std::as_bytes(std::span(text)), out);
        return {reinterpret_cast<const char*>(out.data()), out.size()};
    }

    int quits_ = 0, helps_ = 0;
    EscapeKeys keys_;
};

TEST_F(EscapeKeysTest, EverythingElsePasses) {
    std::string all;
    for (int i = 0; i < 256; ++i) {
        if (i != 1) all += static_cast<char>(i);
    }
    EXPECT_EQ(type(all), all);
}

TEST_F(EscapeKeysTest, XQuits) {
    EXPECT_EQ(type("ab\x01" "xcd"), "abcd");
    EXPECT_EQ(type("\x01X"), "");
    EXPECT_EQ(type("\x01\x18"), "");
    EXPECT_EQ(quits_, 3);
}

TEST_F(EscapeKeysTest, HShowsHelp) {
    EXPECT_EQ(type("\x01h\x01H\x01?"), "");
    EXPECT_EQ(helps_, 3);
}

TEST_F(EscapeKeysTest, DoublePrefixSendsIt) {
    EXPECT_EQ(type("\x01\x01"), "\x01");
    EXPECT_EQ(type("\x01" "a"), "\x01");
    EXPECT_EQ(type("x"), "x");  // and is over
    EXPECT_EQ(quits_, 0);
}

TEST_F(EscapeKeysTest, WTypesTheWindowSize) { EXPECT_EQ(type("a\x01wb"), "arb"); }

TEST_F(EscapeKeysTest, UnknownKeyPassesWithItsPrefix) { EXPECT_EQ(type("\x01q"), "\x01q"); }

TEST_F(EscapeKeysTest, PrefixAndKeyMayComeApart) {
    EXPECT_EQ(type("\x01"), "");
    EXPECT_EQ(type("x"), "");
    EXPECT_EQ(quits_, 1);
}

}  // namespace
}  // namespace mynah
