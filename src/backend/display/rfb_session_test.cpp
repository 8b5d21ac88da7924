#include "backend/display/rfb_session.h"

#include <gtest/gtest.h>
#include <linux/input-event-codes.h>

#include <random>

#include "backend/display/recording_input_test.h"
#include "backend/display/rfb_client_test.h"

namespace mynah {
namespace {

using testing::append32;
using testing::bytes_of;
using testing::ByteVector;

class RfbSessionTest : public ::testing::Test {
  protected:
    void begin(uint32_t width = 200, uint32_t height = 100) {
        surface.resize(width, height);
        session = std::make_unique<RfbSession>(settings, input, width, height);
    }
    bool send(const ByteVector& bytes) { return session->receive(bytes); }
    bool send(const std::string& text) { return send(bytes_of(text)); }
    // The next bytes of the session's output.
    ByteVector take(size_t size) {
        ByteVector& out = session->output();
        EXPECT_LE(size, out.size());
        size = std::min(size, out.size());
        ByteVector bytes(out.begin(), out.begin() + static_cast<ptrdiff_t>(size));
        out.erase(out.begin(), out.begin() + static_cast<ptrdiff_t>(size));
        bytes.resize(size);
        return bytes;
    }
    // As far as the picture, without a password.
    void greet() {
        reader.text(12);
        EXPECT_TRUE(send("RFB 003.008\n"));
        EXPECT_EQ(reader.number(2), 0x0101u);
        EXPECT_TRUE(send(bytes_of({1})));
        EXPECT_EQ(reader.number(4), 0u);
        EXPECT_TRUE(send(bytes_of({1})));
        reader.server_init();
        EXPECT_TRUE(session->ready());
        EXPECT_TRUE(session->output().empty());
    }
    void request(bool incremental = true) {
        EXPECT_TRUE(send(testing::update_request(incremental, surface.width(), surface.height())));
    }
    // What one update makes of the viewer's picture.
    void update() {
        session->update(surface);
        ASSERT_FALSE(session->output().empty());
        reader.message();
        EXPECT_TRUE(session->output().empty());
    }
    void change(const Rect& rect) {
        Damage damage;
        damage.resize(surface.width(), surface.height());
        damage.clear();
        damage.add(rect);
        session->add(damage);
    }

    RfbSettings settings{.name = "machine"};
    testing::RecordingInput input;
    Surface surface;
    std::unique_ptr<RfbSession> session;
    testing::RfbReader reader{[this](size_t size) { return take(size); }};
};

TEST_F(RfbSessionTest, GreetingWithoutAPassword) {
    begin();
    EXPECT_EQ(reader.text(12), "RFB 003.008\n");
    EXPECT_TRUE(send("RFB 003.008\n"));
    EXPECT_EQ(reader.number(2), 0x0101u);
    EXPECT_TRUE(send(bytes_of({1})));
    EXPECT_EQ(reader.number(4), 0u);
    EXPECT_TRUE(send(bytes_of({0})));
    reader.server_init();
    EXPECT_EQ(reader.name, "machine");
    EXPECT_EQ(reader.picture.width(), 200u);
    EXPECT_EQ(reader.picture.height(), 100u);
}

TEST_F(RfbSessionTest, OlderVersions) {
    begin();
    reader.text(12);
    EXPECT_TRUE(send("RFB 003.003\n"));
    EXPECT_EQ(reader.number(4), 1u);
    EXPECT_TRUE(send(bytes_of({1})));
    reader.server_init();
    begin();
    reader.text(12);
    EXPECT_TRUE(send("RFB 003.007\n"));
    EXPECT_EQ(reader.number(2), 0x0101u);
    EXPECT_TRUE(send(bytes_of({1, 1})));  // no result is sent
    reader.server_init();
    begin();
    reader.text(12);
    EXPECT_TRUE(send("RFB 003.889\n"));  // taken for 3.3
    EXPECT_EQ(reader.number(4), 1u);
}

// The answer was computed with OpenSSL's DES.
TEST(VncPassword, AnswerIsDesWithTheKeysBitsReversed) {
    VncChallenge challenge;
    for (unsigned i = 0; i < challenge.size(); ++i) challenge[i] = std::byte(i);
    const VncChallenge answer = answer_vnc_challenge(challenge, "sesame12345");
    const ByteVector expected = bytes_of({0xac, 0x8f, 0xfe, 0x46, 0x6f, 0x06, 0x68, 0x39, 0xad,
                                          0xe5, 0xac, 0xb7, 0x1d, 0x16, 0x81, 0x9d});
    EXPECT_TRUE(std::equal(answer.begin(), answer.end(), expected.begin()));
    EXPECT_TRUE(same_answer(answer, answer));
    for (unsigned i = 0; i < answer.size(); ++i) {
        VncChallenge other = answer;
        other[i] ^= std::byte{1};
        EXPECT_FALSE(same_answer(answer, other));
    }
    EXPECT_NE(make_vnc_challenge(), make_vnc_challenge());
}

class RfbPasswordTest : public RfbSessionTest {
  protected:
    void SetUp() override {
        settings.password = "sesame";
        settings.tried = [this](bool passed) { tries.push_back(passed); };
        settings.may_try = [this] { return open; };
    }
    VncChallenge challenge_of(const std::string& version) {
        begin();
        reader.text(12);
        EXPECT_TRUE(send(version));
        if (version == "RFB 003.003\n") {
            EXPECT_EQ(reader.number(4), 2u);
        } else {
            EXPECT_EQ(reader.number(2), 0x0102u);
            EXPECT_TRUE(send(bytes_of({2})));
        }
        VncChallenge challenge{};
        const ByteVector bytes = take(16);
        std::copy(bytes.begin(), bytes.end(), challenge.begin());
        return challenge;
    }
    bool answer(const VncChallenge& challenge, const std::string& password) {
        const VncChallenge bytes = answer_vnc_challenge(challenge, password);
        return send(ByteVector(bytes.begin(), bytes.end()));
    }
    std::vector<bool> tries;
    bool open = true;
};

TEST_F(RfbPasswordTest, RightOneInEveryVersion) {
    for (const char* version : {"RFB 003.003\n", "RFB 003.007\n", "RFB 003.008\n"}) {
        EXPECT_TRUE(answer(challenge_of(version), "sesame"));
        EXPECT_EQ(reader.number(4), 0u);
        EXPECT_TRUE(send(bytes_of({1})));
        EXPECT_TRUE(session->ready());
    }
    EXPECT_EQ(tries, (std::vector<bool>{true, true, true}));
}

TEST_F(RfbPasswordTest, WrongOneEndsTheSession) {
    EXPECT_FALSE(answer(challenge_of("RFB 003.008\n"), "sesamf"));
    EXPECT_EQ(reader.number(4), 1u);
    EXPECT_EQ(reader.text(reader.number(4)), "wrong password");
    EXPECT_FALSE(send(bytes_of({1, 1, 1})));
    EXPECT_TRUE(session->output().empty());
    EXPECT_FALSE(answer(challenge_of("RFB 003.003\n"), ""));
    EXPECT_EQ(session->output().size(), 4u);
    EXPECT_EQ(tries, (std::vector<bool>{false, false}));
}

TEST_F(RfbPasswordTest, NoWayAroundIt) {
    begin();
    reader.text(12);
    EXPECT_TRUE(send("RFB 003.008\n"));
    reader.number(2);
    EXPECT_FALSE(send(bytes_of({1})));  // no security was not offered
    EXPECT_EQ(reader.number(4), 1u);
    EXPECT_FALSE(session->ready());
    // The right answer, but nobody may try now.
    open = false;
    EXPECT_FALSE(answer(challenge_of("RFB 003.008\n"), "sesame"));
    EXPECT_TRUE(tries.empty());
    // An old answer to a new challenge.
    open = true;
    const VncChallenge first = challenge_of("RFB 003.008\n");
    challenge_of("RFB 003.008\n");
    EXPECT_FALSE(answer(first, "sesame"));
}

TEST_F(RfbSessionTest, GarbageEndsTheSession) {
    for (const std::string text :
         {"GET / HTTP/1.1\r\n", "RFB 00x.008\n", "RFB 002.008\n", "RFB 003.008 ", "\x16\x03\x01"}) {
        begin();
        EXPECT_FALSE(send(text)) << text;
        EXPECT_FALSE(send("RFB 003.008\n"));
    }
    for (const unsigned type : {1u, 7u, 77u, 254u}) {
        begin();
        greet();
        EXPECT_FALSE(send(bytes_of({type, 0, 0, 0})));
    }
    begin();
    greet();
    EXPECT_FALSE(send(bytes_of({255, 9, 0, 0})));  // none of QEMU's messages
    begin();
    greet();
    ByteVector palette = bytes_of({0, 0, 0, 0, 8, 8, 0, 0});
    palette.resize(20);
    EXPECT_FALSE(send(palette));
}

TEST_F(RfbSessionTest, RawUpdates) {
    begin(70, 40);
    greet();
    surface.row(3)[5] = 0x123456;
    surface.row(39)[69] = 0xffffff;
    session->update(surface);
    EXPECT_TRUE(session->output().empty());  // nobody asked
    request(false);
    update();
    EXPECT_EQ(reader.picture, surface);
    // Nothing changed: the answer waits.
    request();
    session->update(surface);
    EXPECT_TRUE(session->output().empty());
    EXPECT_TRUE(session->wants_update());
    surface.row(33)[64] = 0xabcdef;
    change({64, 33, 1, 1});
    update();
    EXPECT_EQ(reader.picture, surface);
    EXPECT_EQ(reader.rects, (std::vector<Rect>{{64, 32, 6, 8}}));
    EXPECT_FALSE(session->wants_update());
}

TEST_F(RfbSessionTest, OtherPixelFormats) {
    begin(2, 1);
    greet();
    surface.row(0)[0] = 0xff8000;
    surface.row(0)[1] = 0x0000ff;
    // 16 bits, big-endian, 5-6-5.
    EXPECT_TRUE(send(bytes_of({0, 0, 0, 0, 16, 16, 1, 1, 0, 31, 0, 63, 0, 31, 11, 5, 0, 0, 0, 0})));
    request();
    session->update(surface);
    take(4 + 12);
    EXPECT_EQ(take(4), bytes_of({0xfc, 0x00, 0x00, 0x1f}));
    // 8 bits, 2-3-3 from the top: blue, green, red.
    EXPECT_TRUE(send(bytes_of({0, 0, 0, 0, 8, 8, 0, 1, 0, 7, 0, 7, 0, 3, 0, 3, 6, 0, 0, 0})));
    request();
    session->update(surface);
    take(4 + 12);
    EXPECT_EQ(take(2), bytes_of({0x27, 0xc0}));
}

TEST_F(RfbSessionTest, TightUpdatesOfEveryKind) {
    begin(3000, 100);
    greet();
    EXPECT_TRUE(send(testing::encodings({-240, 7, 0})));
    std::mt19937 random(7);
    for (uint32_t y = 0; y < 100; ++y) {
        for (uint32_t x = 0; x < 3000; ++x) {
            uint32_t pixel = 0x202020;                                      // one colour
            if (x >= 512) pixel = random() % 2 == 0 ? 0x00ff00 : 0x123456;  // two
            if (x >= 1024) pixel = random() % 30 * 0x010305;                // some
            if (x >= 1536) pixel = random() & 0xffffff;                     // all
            surface.row(y)[x] = pixel;
        }
    }
    for (int round = 0; round < 3; ++round) {  // the streams go on
        for (const Rect& rect :
             {Rect{0, 0, 512, 96}, Rect{512, 0, 512, 100}, Rect{1024, 0, 512, 64},
              Rect{1536, 0, 1464, 100}, Rect{0, 0, 3000, 100}}) {
            if (rect.x > 0) surface.row(rect.y)[rect.x] ^= 0x80;
            change(rect);
            request();
            update();
            EXPECT_EQ(reader.picture, surface);
        }
    }
    EXPECT_GT(reader.kinds[0x8], 0u);
    EXPECT_GT(reader.kinds[0x5], 0u);
    EXPECT_GT(reader.kinds[0x6], 0u);
    EXPECT_GT(reader.kinds[0x0], 0u);
}

TEST_F(RfbSessionTest, SmallTightRectanglesAreNotCompressed) {
    begin(33, 2);
    greet();
    EXPECT_TRUE(send(testing::encodings({7})));
    surface.row(0)[32] = 0xff0000;
    request();
    update();
    EXPECT_EQ(reader.picture, surface);
    surface.row(1)[32] = 0x00ff00;
    change({32, 0, 1, 2});
    request();
    update();
    EXPECT_EQ(reader.picture, surface);
}

TEST_F(RfbSessionTest, AViewerMayWishForASize) {
    begin();
    greet();
    std::vector<std::pair<uint32_t, uint32_t>> wishes;
    bool possible = false;
    settings.resize = [&](uint32_t width, uint32_t height) {
        wishes.emplace_back(width, height);
        return possible;
    };
    EXPECT_TRUE(send(testing::encodings({0, -308})));
    request(false);
    update();
    EXPECT_EQ(reader.size_rects, 1u) << "it is told that it may";
    // SetDesktopSize with one screen.
    auto wish = bytes_of({251, 0, 3, 0, 2, 0, 1, 0});
    wish.resize(24);
    for (const bool can : {false, true}) {
        possible = can;
        EXPECT_TRUE(send(wish));
        request();
        update();
        EXPECT_EQ(reader.size_status, can ? 4 : 1) << "handed on, or prohibited";
    }
    ASSERT_EQ(wishes.size(), 2u);
    EXPECT_EQ(wishes[0], std::pair(0x300u, 0x200u));
    EXPECT_TRUE(send(bytes_of({251, 0, 0, 0, 0, 0, 0, 0})));
    request();
    update();
    EXPECT_EQ(reader.size_status, 3);
    EXPECT_EQ(wishes.size(), 2u) << "no picture is empty";
    // The guest draws it.
    surface.resize(0x300, 0x200);
    request();
    update();
    EXPECT_EQ(reader.picture.width(), 0x300u);
    EXPECT_EQ(reader.resizes, 1u);
}

TEST_F(RfbSessionTest, SizeChanges) {
    begin(64, 64);
    greet();
    EXPECT_TRUE(send(testing::encodings({0, -223})));
    request(false);
    update();
    surface.resize(100, 50);
    surface.row(49)[99] = 0x55aa55;
    request();
    update();
    EXPECT_EQ(reader.resizes, 1u);
    EXPECT_EQ(reader.picture.width(), 100u);
    request();
    update();
    EXPECT_EQ(reader.picture, surface);
}

TEST_F(RfbSessionTest, AViewerThatDoesNotFollowSeesWhatFits) {
    begin(64, 64);
    greet();
    surface.resize(100, 50);
    for (uint32_t y = 0; y < 50; ++y)
        std::fill(surface.row(y).begin(), surface.row(y).end(), y + 1);
    change({0, 0, 100, 50});
    request();
    update();
    EXPECT_EQ(reader.picture.width(), 64u);
    EXPECT_EQ(reader.picture.at(63, 49), 50u);
    EXPECT_EQ(reader.picture.at(63, 50), 0u);
    surface.row(0)[80] = 1;
    change({80, 0, 1, 1});  // outside of what it sees: no empty update
    request();
    session->update(surface);
    EXPECT_TRUE(session->output().empty());
}

TEST_F(RfbSessionTest, KeysByTheirSymbols) {
    begin();
    greet();
    EXPECT_TRUE(send(testing::key_event('a', true)));
    EXPECT_TRUE(send(testing::key_event(0xff0d, false)));
    EXPECT_TRUE(send(testing::key_event(0x20ac, true)));  // the euro sign is on no US key
    EXPECT_EQ(input.take(), (std::vector<std::string>{"key 30 down", "key 28 up"}));
}

TEST_F(RfbSessionTest, ShiftIsPressedForThoseWhoDoNot) {
    using Events = std::vector<std::string>;
    begin();
    greet();
    const auto press = [&](uint32_t keysym, bool down = true) {
        EXPECT_TRUE(send(testing::key_event(keysym, down)));
    };
    press('A');
    press('A', false);
    EXPECT_EQ(input.take(), (Events{"key 42 down", "key 30 down", "key 42 up", "key 30 up"}));
    press('|');
    EXPECT_EQ(input.take(), (Events{"key 42 down", "key 43 down", "key 42 up"}));
    press(0xffe2);  // a person holds Shift
    press('A');
    press(0xffe2, false);
    EXPECT_EQ(input.take(), (Events{"key 54 down", "key 30 down", "key 54 up"}));
    press(0xffe5);  // Caps Lock
    press(0xffe5, false);
    press('B');
    press('!');
    EXPECT_EQ(input.take(), (Events{"key 58 down", "key 58 up", "key 48 down", "key 42 down",
                                    "key 2 down", "key 42 up"}));
}

TEST_F(RfbSessionTest, KeysByTheirCodes) {
    begin();
    greet();
    EXPECT_TRUE(send(testing::encodings({0, -258})));
    request(false);
    update();
    EXPECT_TRUE(reader.extended_keys);
    const auto extended = [&](uint32_t symbol, uint32_t code, bool down) {
        ByteVector bytes = bytes_of({255, 0, 0, down ? 1u : 0u});
        append32(bytes, symbol);
        append32(bytes, code);
        return send(bytes);
    };
    EXPECT_TRUE(extended('q', 0x1e, true));  // a French keyboard: the key is where A is
    EXPECT_TRUE(extended('q', 0x1e, false));
    EXPECT_TRUE(extended(0, 0xc8, true));
    EXPECT_TRUE(extended(0, 0x7fffffff, true));
    EXPECT_TRUE(extended(0, 0xffffffff, true));
    EXPECT_TRUE(extended('b', 0, true));
    EXPECT_EQ(input.take(), (std::vector<std::string>{"key 30 down", "key 30 up", "key 103 down",
                                                      "key 48 down"}));
}

TEST_F(RfbSessionTest, PointerAndWheel) {
    begin();
    greet();
    EXPECT_TRUE(send(testing::pointer_event(0, 10, 20)));
    EXPECT_TRUE(send(testing::pointer_event(0b101, 10, 20)));
    EXPECT_TRUE(send(testing::pointer_event(0b1001, 10, 20)));
    EXPECT_TRUE(send(testing::pointer_event(0b0000001, 10, 20)));
    EXPECT_TRUE(send(testing::pointer_event(0b1010001, 10, 20)));
    const std::string at = "at 10,20 of 200x100";
    EXPECT_EQ(input.take(),
              (std::vector<std::string>{at, at, "button 0 down", "button 2 down", at, "button 2 up",
                                        "wheel 1 0", at, at, "wheel -1 1"}));
}

TEST_F(RfbSessionTest, WhatAViewerHeldIsReleasedWhenItGoes) {
    begin();
    greet();
    EXPECT_TRUE(send(testing::key_event(0xffe3, true)));
    EXPECT_TRUE(send(testing::key_event('c', true)));
    EXPECT_TRUE(send(testing::key_event('c', false)));
    EXPECT_TRUE(send(testing::pointer_event(1, 1, 1)));
    input.take();
    session.reset();
    EXPECT_EQ(input.take(), (std::vector<std::string>{"key 29 up", "button 0 up"}));
}

TEST_F(RfbSessionTest, Clipboard) {
    std::string text;
    settings.clipboard = [&](const std::string& copied) { text = copied; };
    begin();
    greet();
    EXPECT_TRUE(send(testing::cut_text("hello")));
    EXPECT_EQ(text, "hello");
    session->send_text("from the guest");
    reader.message();
    EXPECT_EQ(reader.cut_text, "from the guest");
    // Megabytes are cut, and what follows is understood.
    ByteVector large = testing::cut_text(std::string(3'000'000, 'x'));
    const ByteVector key = testing::key_event('a', true);
    large.insert(large.end(), key.begin(), key.end());
    for (size_t at = 0; at < large.size(); at += 10'000) {
        const size_t end = std::min(at + 10'000, large.size());
        EXPECT_TRUE(send(ByteVector(large.begin() + static_cast<ptrdiff_t>(at),
                                    large.begin() + static_cast<ptrdiff_t>(end))));
    }
    EXPECT_EQ(text, std::string(RfbSession::kTextMost, 'x'));
    EXPECT_EQ(input.take(), (std::vector<std::string>{"key 30 down"}));
}

TEST_F(RfbSessionTest, MessagesMayComeInAnyPieces) {
    begin();
    ByteVector all = bytes_of("RFB 003.008\n");
    const auto add = [&](const ByteVector& bytes) {
        all.insert(all.end(), bytes.begin(), bytes.end());
    };
    add(bytes_of({1, 1}));
    add(testing::encodings({7, -258, -223, 0}));
    add(testing::update_request(false, 200, 100));
    add(testing::cut_text("abc"));
    add(testing::key_event('x', true));
    add(testing::pointer_event(0, 3, 4));
    for (const std::byte byte : all) EXPECT_TRUE(send(ByteVector{byte}));
    EXPECT_TRUE(session->wants_update());
    EXPECT_EQ(input.take(), (std::vector<std::string>{"key 45 down", "at 3,4 of 200x100"}));
    begin();
    EXPECT_TRUE(send(all));
    EXPECT_EQ(input.take().size(), 3u);  // with the release of x by the session before
}

}  // namespace
}  // namespace mynah
